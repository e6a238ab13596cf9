"""The logger of scmoe: one plain line on stderr for each choice made for the user.

Silence it with ``logging.getLogger("scmoe").setLevel("WARNING")``.
"""

import logging
import sys
from typing import TextIO


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
    # Several libraries add a handler to the root logger; each line would then be printed twice.
    logger.propagate = False
    return logger


logger = _make_logger()
