"""Work on other machines: the one place that starts Ray. It knows nothing of models, programs or training."""
