"""How often each consensus rule is right, on pools of solutions with references."""
