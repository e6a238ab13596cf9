"""Training: the objective, the Lightning plan and its callbacks."""
