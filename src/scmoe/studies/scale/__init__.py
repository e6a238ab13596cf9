"""Time and memory of large data, phase by phase."""
