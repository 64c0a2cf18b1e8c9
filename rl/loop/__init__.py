"""The loop: the stages of a round, the update of the policy, the choice of a checkpoint, its evaluation."""
