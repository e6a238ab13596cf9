"""Losses as pure functions: clustering, neighbors, balance of router and classes."""
