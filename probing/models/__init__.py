"""Checkpoints and GGUF files: loading them, and their chat templates."""
