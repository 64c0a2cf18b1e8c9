"""Judging the candidates of one problem: stable execution, ranking, and `ucoder judge`."""
