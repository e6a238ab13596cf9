"""Counts of an AnnData to masked batches of tokens."""
