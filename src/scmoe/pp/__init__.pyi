from ._niche import niche
from ._prepare import prepare

__all__ = ["niche", "prepare"]
