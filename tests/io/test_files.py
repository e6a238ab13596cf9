"""Files and folders: all or nothing, and readable errors."""

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from scmoe.io import _files
from scmoe.io._files import WriteError, atomic_dir, atomic_path, check_replaceable, check_writable
from scmoe.io._leftovers import QUIET, remove


def disk_full(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_file_takes_its_place_only_on_success(tmp_path: Path) -> None:
    target = tmp_path / "new" / "result.csv"
    with atomic_path(target) as temporary:
        temporary.write_text("done")
        assert temporary.suffix == ".csv"
        assert not target.exists()
    assert target.read_text() == "done"
    assert [entry.name for entry in target.parent.iterdir()] == ["result.csv"]


@pytest.mark.parametrize("error", [RuntimeError("stop"), KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
def test_failure_keeps_the_old_file(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "result.csv"
    target.write_text("old")
    with pytest.raises(WriteError if isinstance(error, OSError) else type(error)), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_folder_is_swapped_whole(tmp_path: Path) -> None:
    target = tmp_path / "model"
    for text in ("one", "two"):
        with atomic_dir(target, overwrite=True) as temporary:
            (temporary / "settings.json").write_text(text)
        assert (target / "settings.json").read_text() == text
    assert list(tmp_path.iterdir()) == [target]


def test_failure_keeps_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with atomic_dir(target) as temporary:
        (temporary / "settings.json").write_text("old")
    with pytest.raises(WriteError, match="No space left"), atomic_dir(target, overwrite=True) as temporary:
        (temporary / "settings.json").write_text("half")
        disk_full()
    assert (target / "settings.json").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_folder_comes_back_when_the_swap_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "model"
    target.mkdir()
    rename = os.rename

    def fail_into_place(source, destination):
        if Path(destination) == target and not getattr(fail_into_place, "failed", False):
            fail_into_place.failed = True  # type: ignore[attr-defined]
            disk_full()
        rename(source, destination)

    monkeypatch.setattr(_files.os, "rename", fail_into_place)
    with pytest.raises(WriteError), atomic_dir(target, overwrite=True) as temporary:
        (temporary / "settings.json").write_text("new")
    assert list(tmp_path.iterdir()) == [target]
    assert list(target.iterdir()) == []


@pytest.mark.parametrize(
    ("prepare", "overwrite", "match"),
    [
        (lambda p: p.write_text("x"), True, "a file has this name"),
        (lambda p: (p.mkdir(), (p / "a").write_text("x")), False, "exists already.*overwrite=True"),
        (lambda p: (p.mkdir(), (p / "thesis.tex").write_text("x")), True, "would be lost: thesis.tex"),
    ],
)
def test_folder_in_use_is_refused(tmp_path: Path, prepare, overwrite: bool, match: str) -> None:
    target = tmp_path / "model"
    prepare(target)
    with pytest.raises(WriteError, match=match), atomic_dir(target, overwrite=overwrite) as temporary:
        (temporary / "settings.json").write_text("new")
    assert list(tmp_path.iterdir()) == [target]


def test_folder_of_known_files_can_be_replaced(tmp_path: Path) -> None:
    check_replaceable(tmp_path / "none", ["a"])
    (tmp_path / "a").write_text("x")
    check_replaceable(tmp_path, ["a", "b"])
    with pytest.raises(WriteError, match="would be lost: a"):
        check_replaceable(tmp_path, ["b"])
    with pytest.raises(WriteError, match="a file has this name"):
        check_replaceable(tmp_path / "a", ["b"])


def test_folder_is_created_and_left_clean(tmp_path: Path) -> None:
    assert list(check_writable(tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("below", ["", "deeper"])
def test_file_in_place_of_the_folder_is_named(tmp_path: Path, below: str) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(WriteError, match="out.*a file is in the way. Choose another folder"):
        check_writable(tmp_path / "out" / below)


def test_full_disk_is_reported_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_bytes", disk_full)
    with pytest.raises(WriteError, match="No space left on device. Check the free space"):
        check_writable(tmp_path)


def test_file_is_not_written_over_a_folder(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="a folder has this name"), atomic_path(tmp_path):
        pass


def test_write_error_is_both_kinds() -> None:
    assert issubclass(WriteError, OSError)
    assert issubclass(WriteError, ValueError)


def test_a_folder_that_a_thread_writes_on_is_removed_for_good(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()

    def write_on() -> None:
        for _ in range(8):
            folder.mkdir(exist_ok=True)
            time.sleep(0.02)

    thread = threading.Thread(target=write_on)
    thread.start()
    remove(folder, n_looks=QUIET)
    thread.join()
    assert not folder.exists()
