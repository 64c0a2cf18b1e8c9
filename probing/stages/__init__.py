"""Stages 1 to 5: problems, ratings, interfaces, test inputs and solutions, asked of the model."""
