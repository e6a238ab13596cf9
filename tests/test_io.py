"""Writing: all or nothing, readable errors, and values that both file formats accept."""

import errno
import logging
import os
import warnings
from datetime import date
from enum import Enum
from pathlib import Path, PurePosixPath

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest

from scmoe import _io
from scmoe._io import (
    WriteError,
    atomic_dir,
    atomic_path,
    check_replaceable,
    check_writable,
    quiet_mudata,
    to_uns,
    write_h5mu,
)


class Color(Enum):
    RED = "red"


@pytest.fixture
def mdata() -> mudata.MuData:
    with quiet_mudata():
        return mudata.MuData({m: ad.AnnData(np.ones((3, 2), np.float32)) for m in ("rna", "adt")})


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

    monkeypatch.setattr(_io.os, "rename", fail_into_place)
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


def test_mudata_survives_writing(mdata: mudata.MuData, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_h5mu(mdata, tmp_path / "a.h5mu")
        with quiet_mudata():
            again = mudata.read_h5mu(tmp_path / "a.h5mu")
    assert list(again.mod) == ["rna", "adt"]
    assert list(tmp_path.iterdir()) == [tmp_path / "a.h5mu"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), RuntimeError("Can't close, errno = 28")])
def test_full_disk_leaves_the_old_file(mdata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error) -> None:
    target = tmp_path / "a.h5mu"
    target.write_text("old")

    def fail(self, path):
        Path(path).write_text("half")
        raise error

    monkeypatch.setattr(mudata.MuData, "write_h5mu", fail)
    with pytest.raises(WriteError, match="a.h5mu.*Check the free space"):
        write_h5mu(mdata, target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_other_runtime_errors_are_not_hidden(mdata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self, path):
        raise RuntimeError("a bug")

    monkeypatch.setattr(mudata.MuData, "write_h5mu", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        write_h5mu(mdata, tmp_path / "a.h5mu")


def test_quiet_mudata_leaves_no_trace() -> None:
    options, handlers = dict(mudata._core.config.OPTIONS), list(logging.getLogger().handlers)
    with quiet_mudata():
        pass
    assert dict(mudata._core.config.OPTIONS) == options
    assert logging.getLogger().handlers == handlers


AWKWARD = {
    1: (1, 2),
    "a/b": {"x", "y"},
    "none": None,
    "path": PurePosixPath("/tmp/x"),
    "enum": Color.RED,
    "date": date(2026, 1, 2),
    "numpy": np.float32(0.5),
    "nothing": [],
    "mixed": [1, None, "a"],
    "ragged": [[1, 2], [3]],
    "records": [{"epoch": 1}, {"epoch": 2}],
    "objects": np.array(["a", None], dtype=object),
    "scalar": np.array("a", dtype=object),
    "series": pd.Series([1.0, 2.0]),
    "category": pd.Categorical(["a", "b"]),
    "table": pd.DataFrame({0: [1, 2], "label": ["a", None], "kind": pd.Categorical(["u", "v"])}),
    "deep": {"deeper": {2: Color.RED}},
    "flag": True,
}


@pytest.mark.parametrize("suffix", ["h5mu", "zarr"])
def test_awkward_values_survive_both_formats(mdata: mudata.MuData, tmp_path: Path, suffix: str) -> None:
    mdata.uns["scmoe"] = to_uns(AWKWARD)
    path = tmp_path / f"a.{suffix}"
    with quiet_mudata():
        if suffix == "h5mu":
            mdata.write_h5mu(path)
            uns = mudata.read_h5mu(path).uns["scmoe"]
        else:
            mdata.write_zarr(path)
            uns = mudata.read_zarr(path).uns["scmoe"]
    assert set(uns) == {str(key).replace("/", "_") for key in AWKWARD}
    assert (uns["none"], uns["enum"], uns["date"], uns["flag"]) == ("None", "red", "2026-01-02", True)
    assert list(uns["1"]) == [1, 2]
    assert list(uns["mixed"]) == ["1", "None", "a"]
    assert list(uns["ragged"]["0"]) == [1, 2]
    assert uns["records"]["1"]["epoch"] == 2
    assert uns["deep"]["deeper"]["2"] == "red"
    assert list(uns["table"].columns) == ["0", "label", "kind"]
    assert list(uns["table"]["label"]) == ["a", "None"]


def test_tensors_become_arrays() -> None:
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(to_uns(torch.ones(2, dtype=torch.bfloat16)), np.ones(2))


def test_keys_that_become_equal_are_refused() -> None:
    with pytest.raises(ValueError, match="not distinct as text"):
        to_uns({1: "a", "1": "b"})
