"""Experts beside a dense layer where cells differ in kind."""
