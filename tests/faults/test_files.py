"""A drive that fails at any operation: what was there stays, nothing half-written does, the message has the path."""

import multiprocessing
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import injection
import matplotlib.pyplot as plt
import pytest

import scmoe
from scmoe.io._files import WriteError
from scmoe.io._leftovers import remove
from scmoe.model import SCMOE, XTRIMOGENE
from scmoe.pl._save import show_or_save
from scmoe.tokens._vocabulary import Vocabulary

pytestmark = pytest.mark.slow  # as a whole: minutes


class Case(NamedTuple):
    """Something that is written."""

    name: str
    write: Callable[[Path, int], None]
    """Its version, 0 or 1, to a path."""
    read: Callable[[Path], Any]
    """Raises if it is not whole."""


@pytest.fixture
def case(request, trained, pretrained, fresh, monkeypatch) -> Case:
    """What is written."""
    name = request.param
    if name in ("SCMOE", "XTRIMOGENE"):
        model, kind = (trained, SCMOE) if name == "SCMOE" else (pretrained, XTRIMOGENE)

        def save(path: Path, version: int) -> None:
            monkeypatch.setattr(model, "seed", version)  # the model is that of other tests too
            model.save(path, overwrite=True)

        return Case("model", save, kind.load)
    if name == "vocabulary":
        return Case("genes.json", lambda path, version: genes(version).save(path), Vocabulary.from_file)
    if name == "figure":
        return Case("figure.png", draw, lambda path: plt.imread(path))
    mdata = fresh("paired")

    def write(path: Path, version: int) -> None:
        for data in (mdata, mdata["rna"]):
            data.obs["version"] = version
        scmoe.datasets.write(mdata["rna"] if path.suffix == ".h5ad" else mdata, path)

    return Case(f"data.{name}", write, scmoe.datasets.read)


def genes(version: int) -> Vocabulary:
    return Vocabulary(tuple(f"gene{i}" for i in range(20 + version)))


def draw(path: Path, version: int) -> None:
    figure = plt.figure(figsize=(1, 1))
    figure.text(0, 0, str(version))
    try:
        show_or_save(figure, show=False, save=path)
    finally:
        plt.close(figure)


def content(path: Path) -> dict[str, bytes]:
    """All files of a folder, or a file."""
    return {str(file): file.read_bytes() for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()}


CASES = ["SCMOE", "XTRIMOGENE", "vocabulary", "figure", "h5mu", "h5ad", pytest.param("zarr", marks=pytest.mark.slow)]
LONG = 15
"""Operations from which on not each is struck."""


def check_after_a_fault(path: Path, error: OSError, before: dict[str, bytes]) -> None:
    assert [entry.name for entry in path.parent.iterdir()] == ([path.name] if before else [])
    assert str(path.parent) in str(error), repr(error)
    assert content(path) == before


@pytest.mark.parametrize("is_new", [True, False], ids=["new", "overwritten"])
@pytest.mark.parametrize("case", CASES, indirect=True)
def test_every_operation_may_fail(case, is_new, tmp_path):
    path, at, has_struck = tmp_path / "folder" / case.name, 0, True
    path.parent.mkdir()
    while has_struck:
        if not is_new:
            case.write(path, 0)
        before = content(path)
        at += 1 if at < LONG else at
        problem = None
        with injection.faults(path.parent, at, injection.REASONS[at % len(injection.REASONS)]) as drive:
            try:
                case.write(path, 1)
            except OSError as error:
                problem = error
        if problem is not None:
            assert drive.has_struck
            check_after_a_fault(path, problem, before)
        else:
            assert content(path) != before
            case.read(path)
            remove(path)  # an operation that need not succeed has failed: what comes next starts as before
        has_struck = drive.has_struck
    assert at > 4


@contextmanager
def quota(size: int):
    """No file larger than this can be written, as on a full disk; by all libraries."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_a_disk_may_be_full_at_any_size(case, tmp_path):
    path, size = tmp_path / case.name, 4
    case.write(path, 0)
    before = content(path)
    while in_a_process(write_within, case, path, size, before) == IS_FULL:
        size *= 4
    assert size > 4 and content(path) != before
    case.read(path)


IS_FULL = 3


def write_within(case: Case, path: Path, size: int, before: dict[str, bytes]) -> int:
    try:
        with quota(size):
            case.write(path, 1)
    except WriteError as error:
        assert "File too large" in str(error)
        check_after_a_fault(path, error, before)
        return IS_FULL
    return 0


def in_a_process(function: Callable[..., int], *args: Any) -> int:
    """What a function returns in a process of its own, which a library may leave unable to go on."""
    process = multiprocessing.get_context("fork").Process(target=lambda: sys.exit(function(*args)))
    process.start()
    process.join(100)
    process.kill()
    assert process.exitcode in (0, IS_FULL), "see what it printed"
    return process.exitcode
