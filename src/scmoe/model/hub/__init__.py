"""Models that travel: what is in a folder, what is said of it, and the hub."""
