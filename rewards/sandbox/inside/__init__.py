"""What runs inside the sandbox. Imports nothing from outside it; started by `rewards.sandbox.layers`."""
