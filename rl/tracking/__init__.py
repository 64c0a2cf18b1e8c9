"""Figures of a run: to its folder, and to trackers."""
