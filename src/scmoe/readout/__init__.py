"""Closed-form parts, fitted to the frozen network's outputs: arrays in, a frozen dataclass of arrays out."""
