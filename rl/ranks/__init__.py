"""The processes of a run, and the work that they share."""
