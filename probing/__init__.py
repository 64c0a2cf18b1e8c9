"""Ground floor: asks the model (problems, ratings, interfaces, test inputs, solutions) and looks inside it (hidden states)."""
