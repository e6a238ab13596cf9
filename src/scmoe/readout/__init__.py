"""Closed-form parts, fitted to the frozen network's outputs after training: arrays in, a frozen dataclass of arrays out."""
