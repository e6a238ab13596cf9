"""Which features and which groups of cells differ: tests of observed values, arrays in and tables out."""
