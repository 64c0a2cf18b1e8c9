"""What `ucoder solve` is worth, measured."""
