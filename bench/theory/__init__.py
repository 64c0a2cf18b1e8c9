"""What can be learnt without labels: each statement of docs/method.md, "What can be learnt without labels", checked by simulation."""
