"""What a model wrote beside programs: problems, signatures, calls with literal arguments."""
