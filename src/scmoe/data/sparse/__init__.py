"""Values of which most are zero: rows, standardized features, and their products."""
