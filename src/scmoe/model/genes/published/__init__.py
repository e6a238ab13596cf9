"""Tables of genes from weights of published models."""
