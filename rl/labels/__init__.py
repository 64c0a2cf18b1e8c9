"""The labels of a round: votes on executions, the frozen probe's scores, and their audit against references."""
