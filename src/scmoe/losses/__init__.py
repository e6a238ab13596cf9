"""Losses as pure functions: likelihoods, clustering, router balance."""
