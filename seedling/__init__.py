"""The bundled base model: task grammar, corpus, pretraining and weights. Nothing outside this folder trains on it."""
