"""MuData to mini-batches: what is where, which cells have what, seeded batches."""
