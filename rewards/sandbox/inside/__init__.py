"""What runs on the inner side of the walls. Imports nothing of the outer side; started by `rewards.sandbox.layers`."""
