"""Middle floor: scores. The sandbox, outcome signatures, execution consensus and the mixed reward. Imports no torch."""
