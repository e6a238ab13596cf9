"""What the network takes over from the training cells, and what covariates add to it."""
