"""One run at a time in a folder: others are refused, or wait."""

import threading
from pathlib import Path

import pytest

from scmoe.io import _lock
from scmoe.io._files import WriteError
from scmoe.io._lock import sole_run


def test_another_run_is_refused(tmp_path: Path) -> None:
    with sole_run(tmp_path), pytest.raises(WriteError, match="Another process"), sole_run(tmp_path):
        pass
    with sole_run(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_another_run_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_waiting, order = threading.Event(), []
    monkeypatch.setattr(_lock.logger, "info", lambda *_: is_waiting.set())

    def second() -> None:
        with sole_run(tmp_path, wait=True):
            order.append("second")

    thread = threading.Thread(target=second)
    with sole_run(tmp_path):
        thread.start()
        assert is_waiting.wait(60)
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]
