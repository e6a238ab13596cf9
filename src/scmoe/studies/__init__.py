"""What replicates papers and answers questions of our own; uses everything else, and nothing needs it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
