"""Which experts serve which cells, modalities and features."""
