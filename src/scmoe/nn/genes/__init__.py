"""The gene network and its parts."""
