from ._assign_tags import assign_tags
from ._augment import augment
from ._niche import niche
from ._prepare import prepare
from ._resample import oversample, undersample
from ._split import split
from ._split_counts import split_counts

__all__ = ["assign_tags", "augment", "niche", "oversample", "prepare", "split", "split_counts", "undersample"]
