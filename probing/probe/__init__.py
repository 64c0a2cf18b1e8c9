"""The quality probe on frozen hidden states, and what it is measured by."""
