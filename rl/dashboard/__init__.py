"""`ucoder dashboard`: the curated Weights & Biases workspace, and a preview of its panels from a run's own metrics."""
