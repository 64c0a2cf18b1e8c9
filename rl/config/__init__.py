"""The config: its keys, how it is read and checked, and the run folder that it belongs to."""
