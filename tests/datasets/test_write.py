"""Writing: what is read is written again, whole or not at all."""

import errno
import warnings
from pathlib import Path

import mudata
import pytest

from scmoe.datasets import write
from scmoe.io._files import WriteError
from scmoe.io._quiet import quiet_mudata


def test_mudata_survives_writing(mdata: mudata.MuData, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="The .future.infer_string. option")  # in anndata 0.13
        write(mdata, tmp_path / "a.h5mu")
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
        write(mdata, target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_other_runtime_errors_are_not_hidden(mdata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self, path):
        raise RuntimeError("a bug")

    monkeypatch.setattr(mudata.MuData, "write_h5mu", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        write(mdata, tmp_path / "a.h5mu")
