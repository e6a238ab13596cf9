"""What the gene network costs beside its rivals."""
