"""Several processes that train one model together: which of them speaks and writes."""

import os
import sys

LAUNCHED = ("RANK", "LOCAL_RANK", "NODE_RANK")
"""Numbers that whoever starts such processes gives them, before they have met."""


def is_first() -> bool:
    """Whether this process is alone, or the first of those that train together."""
    distributed = sys.modules.get("torch.distributed")  # whoever has met the others has loaded it
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank() == 0
    return not any(os.environ.get(name, "0").strip("0") for name in LAUNCHED)
