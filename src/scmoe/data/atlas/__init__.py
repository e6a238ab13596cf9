"""Training on an atlas, of which some cells at a time are in memory."""
