"""What a run gives away: its best checkpoint with a model card, and the problems that the model invented, as a dataset."""
