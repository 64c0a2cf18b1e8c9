"""Evaluations of a checkpoint: seedling-bench and the public benchmarks, behind one interface."""
