"""From counts to tokens: vocabularies of genes, four tokenizers, and what is masked for pretraining."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
