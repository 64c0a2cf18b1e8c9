"""Real models measured: what the loop can use of their answers, their evaluation, rounds of training, their hidden states."""
