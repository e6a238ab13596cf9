"""Results that a benchmark keeps, one file a piece of work: after an interruption it goes on where it stopped."""

import json
from pathlib import Path
from typing import Any

from scmoe.io._files import atomic_path


def kept_result(file: Path, key: str) -> dict[str, Any] | None:
    """The result of an earlier start, if it is of the same data and settings; None if it is absent or damaged."""
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return result if isinstance(result, dict) and result.pop("key", None) == key else None


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
