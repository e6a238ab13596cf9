"""Concepts (TCAV) and their controls."""
