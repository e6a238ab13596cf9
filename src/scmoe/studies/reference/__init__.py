"""Reference models: how they are made, and how right their labels are on cells of another study."""
