"""What a program's text says: its normal form, whether it keeps state, and mutants of it."""
