"""The main verbs: each computes with a model and writes what it found into the MuData."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
