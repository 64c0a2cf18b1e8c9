"""Signatures of executions, the clusters that they make, and how well inputs tell programs apart."""
