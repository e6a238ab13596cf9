"""Synergy of drug pairs, and what the expression of cell lines adds to their prediction."""
