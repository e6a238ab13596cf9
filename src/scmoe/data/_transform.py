"""What the statistics and the network share."""

CLIP = 10.0
"""Standardized values are clipped to ± this, so that one outlier cannot dominate a cell."""
