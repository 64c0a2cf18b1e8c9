"""Typed outcomes of calls, and literals as outcomes."""
