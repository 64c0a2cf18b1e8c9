"""The samplers: transformers with our decoding, vLLM, HTTP servers, replicas on Ray. `factory` opens the one that a config names."""
