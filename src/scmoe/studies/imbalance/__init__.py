"""What helps labels with few cells."""
