"""Benches of the reader of answers (`probing.reading`), on answers of real models."""
