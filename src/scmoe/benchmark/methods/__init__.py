"""Methods of the comparison."""
