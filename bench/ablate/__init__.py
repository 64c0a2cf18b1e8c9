"""The ablation: which part of the method gives which part of the gain (`make ablate`)."""
