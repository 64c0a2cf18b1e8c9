"""How fast the sandbox, the sampler and the loop are, and how that grows."""
