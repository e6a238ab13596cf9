"""Data sets of the scMoE paper, in the layout of their files."""
