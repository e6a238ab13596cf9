"""Cells of a simulated gene-regulatory network."""
