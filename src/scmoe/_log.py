"""The logger of scmoe: one plain line on stderr for each choice made for the user.

Of several processes that train one model together, only the first one speaks. Silence it with
``logging.getLogger("scmoe").setLevel("WARNING")``.
"""

import logging
import os
import sys
from typing import TextIO

LAUNCHED = ("RANK", "LOCAL_RANK", "NODE_RANK")
"""Numbers that such processes are started with, before they have met."""


def is_first() -> bool:
    """Whether this process is alone, or the first of those that train together: the one that speaks and writes."""
    distributed = sys.modules.get("torch.distributed")  # whoever has met the others has loaded it
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return bool(distributed.get_rank() == 0)
    return not any(os.environ.get(name, "0").strip("0") for name in LAUNCHED)


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Write to the `sys.stderr` of the moment: notebooks and test runners replace it after import."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _make_logger() -> logging.Logger:
    logger = logging.getLogger("scmoe")
    if not any(isinstance(handler, _StderrHandler) for handler in logger.handlers):
        handler = _StderrHandler()
        handler.setFormatter(logging.Formatter("scmoe: %(message)s"))
        logger.addHandler(handler)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    logger.addFilter(lambda record: record.levelno >= logging.ERROR or is_first())
    # Several libraries add a handler to the root logger; each line would then be printed twice.
    logger.propagate = False
    return logger


logger = _make_logger()
