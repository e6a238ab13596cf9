"""Plots of what `scmoe.tl` stored in a MuData; nothing here trains or computes a result."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
