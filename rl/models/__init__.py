"""Where a model comes from, and its checkpoints on disk."""
