"""What Lightning says that is no news to users of this package."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("lightning.pytorch", "lightning.fabric.utilities.distributed")
MESSAGES = (
    r".*does not have many workers.*",  # batches are sliced in memory: worker processes would only copy them
    r".*is smaller than the logging interval.*",
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",
    r".*exists and is not empty.*",
    r".*across ranks is zero.*",  # no validation cells
    r".*module\(s\) in eval mode.*",  # frozen parts
    r".*sync_dist=True.*",  # what is logged is the same in all processes
)


def quieten() -> None:
    """Turn it off in this process."""
    for message in MESSAGES:
        warnings.filterwarnings("ignore", message=message)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


@contextmanager
def quiet() -> Iterator[None]:
    """Turn it off within the block."""
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    with warnings.catch_warnings():
        try:
            quieten()
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
