"""`ucoder watch`: what a run is doing, from its folder alone: while it runs, from any process that sees the folder, and afterwards."""
