"""Top floor: the round loop, GRPO and SFT, evaluations, monitoring and the report."""
