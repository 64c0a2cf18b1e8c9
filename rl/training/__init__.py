"""Training on the labels: GRPO and SFT through TRL, rollouts, guards."""
