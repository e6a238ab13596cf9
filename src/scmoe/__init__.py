"""Sparse mixture-of-experts transformers for single-cell multi-omics in MuData."""

import lazy_loader

from scmoe._version import __version__

__getattr__, __dir__, _subpackages = lazy_loader.attach_stub(__name__, __file__)
__all__ = [*_subpackages, "__version__"]
