"""Comparison of the model with other methods on the same data: what a user runs on an own file."""

from importlib import import_module
from typing import Any

import lazy_loader

_own, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """Members of this package, and functions that moved to `scmoe.studies` under their former names."""
    try:
        return _own(name)
    except AttributeError:
        if name.startswith("_"):
            raise
        try:
            studies = import_module("scmoe.studies")
        except ModuleNotFoundError:
            studies = None
        if studies is None or name not in studies.__all__:
            raise
    return getattr(studies, name)
