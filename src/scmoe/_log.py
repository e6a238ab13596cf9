"""The logger of scmoe: one plain line on stderr for each choice made for the user, or one JSON object.

Of several processes that train one model together, only the first one speaks. Silence it with
``logging.getLogger("scmoe").setLevel("WARNING")``.
"""

import json
import logging
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from io import TextIOBase
from typing import Any, TextIO

LAUNCHED = ("RANK", "LOCAL_RANK", "NODE_RANK")
"""Numbers that such processes are started with, before they have met."""
FORMAT = "SCMOE_LOG_FORMAT"
"""Environment variable that says how to log; processes that a training starts read it too."""
JSON = "json"
FIELDS = "fields"
"""What a record carries besides its message, as ``extra={FIELDS: {...}}``."""


def is_first() -> bool:
    """Whether this process is alone, or the first of those that train together: the one that speaks and writes."""
    return process_number() == 0


def process_number() -> int:
    """Number of this process among those that train together, from 0 on."""
    distributed = sys.modules.get("torch.distributed")  # whoever has met the others has loaded it
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank())
    numbers = [os.environ.get(name, "0").strip() for name in LAUNCHED]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def is_json() -> bool:
    """Whether each line is a JSON object."""
    return os.environ.get(FORMAT) == JSON


class _Lines(logging.Formatter):
    """One line a record: plain, or a JSON object with time, level, logger, process, message and fields."""

    def format(self, record: logging.LogRecord) -> str:
        if not is_json():
            return super().format(record)
        fields = _plain(getattr(record, FIELDS, {}))
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": process_number(),
            "message": record.getMessage(),
            FIELDS: fields | ({"traceback": self.formatException(record.exc_info)} if record.exc_info else {}),
        }
        return json.dumps(line)  # in ASCII, and line breaks escaped: any name stays within its line


def _plain(value: Any) -> Any:
    """What JSON can hold; numbers that are not finite are null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Write to the `sys.stderr` of the moment: notebooks and test runners replace it after import."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class PrintedLines(TextIOBase):
    """A stream whose lines are logged: what libraries print while each line must be a JSON object."""

    def __init__(self) -> None:
        self._rest = ""

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, text: str) -> int:
        """Log the lines that are complete."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in filter(str.strip, lines):
            logger.info("%s", line)
        return len(text)


@contextmanager
def log_format(name: str) -> Iterator[None]:
    """Log as plain lines or as JSON objects (``"json"``), of which warnings and other libraries are a part then."""
    before, root, handler = os.environ.get(FORMAT), logging.getLogger(), _make_handler(logging.WARNING)
    os.environ[FORMAT] = name
    if name == JSON:
        root.addHandler(handler)
        logging.captureWarnings(True)
    try:
        yield
    finally:
        if name == JSON:
            logging.captureWarnings(False)
            root.removeHandler(handler)
        del os.environ[FORMAT]
        if before is not None:
            os.environ[FORMAT] = before


def _make_handler(level: int = logging.NOTSET) -> _StderrHandler:
    handler = _StderrHandler()
    handler.setFormatter(_Lines("scmoe: %(message)s"))
    handler.setLevel(level)
    return handler


def _make_logger() -> logging.Logger:
    logger = logging.getLogger("scmoe")
    if not any(isinstance(handler, _StderrHandler) for handler in logger.handlers):
        logger.addHandler(_make_handler())
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    logger.addFilter(lambda record: record.levelno >= logging.ERROR or is_first())
    # Several libraries add a handler to the root logger; each line would then be printed twice.
    logger.propagate = False
    return logger


logger = _make_logger()
