"""Whether the hidden states of a real model tell right answers from wrong ones better than its logprobs do."""
