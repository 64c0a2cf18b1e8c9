"""Prompt sets, and asking a model with them."""
