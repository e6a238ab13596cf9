"""Writing: what is read is written again, whole or not at all."""

import errno
import warnings
from pathlib import Path

import h5py
import mudata
import pytest

from scmoe.datasets import read, write
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


@pytest.mark.parametrize("name", ["a.h5ad", "a.csv", "a"])
def test_other_suffixes_are_refused(mdata: mudata.MuData, tmp_path: Path, name: str) -> None:
    with pytest.raises(WriteError, match=r"must end in .h5mu or .zarr; found .*a"):
        write(mdata, tmp_path / name)
    with pytest.raises(WriteError, match=r"must end in .h5ad or .zarr"):
        write(mdata["rna"], tmp_path / "a.h5mu")


def test_store_of_zarr_is_replaced_and_a_folder_of_other_files_is_not(mdata: mudata.MuData, tmp_path: Path) -> None:
    for _ in range(2):
        write(mdata, tmp_path / "a.zarr")
    assert read(tmp_path / "a.zarr").n_obs == mdata.n_obs
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / "thesis.txt").write_text("years of work")
    with pytest.raises(WriteError, match="a folder with other files has this name"):
        write(mdata, tmp_path / "b.zarr")
    assert (tmp_path / "b.zarr" / "thesis.txt").read_text() == "years of work"


def test_what_cannot_be_written_is_named_and_the_old_file_stays(mdata: mudata.MuData, tmp_path: Path) -> None:
    write(mdata, tmp_path / "a.h5mu")
    mdata.uns["pair"] = (1, 2)
    with pytest.raises(WriteError, match=r"mdata.uns\['pair'\] cannot be written"):
        write(mdata, tmp_path / "a.h5mu")
    assert "pair" not in read(tmp_path / "a.h5mu").uns


@pytest.mark.parametrize("suffix", [".h5mu", ".zarr"])
def test_the_data_are_not_changed(paired: mudata.MuData, tmp_path: Path, contents, suffix: str) -> None:
    paired["rna"].obs["text"] = ["a", "b"] * (paired.n_obs // 2)
    before = contents(paired)
    write(paired, tmp_path / f"a{suffix}")
    assert contents(paired) == before


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


@pytest.mark.parametrize("suffix", [".h5mu", ".h5ad"])
def test_text_has_the_form_that_all_versions_read(paired: mudata.MuData, tmp_path: Path, suffix: str) -> None:
    """anndata 0.13 writes names in a form that versions before 0.12 do not know."""
    paired.obs["note"] = paired["rna"].obs["note"] = "as typed"
    path = tmp_path / f"cells{suffix}"
    write(paired if suffix == ".h5mu" else paired["rna"], path)
    forms = set()
    with h5py.File(path) as file:
        file.visititems(lambda _, entry: forms.add(entry.attrs.get("encoding-type")))
    assert "string-array" in forms and "nullable-string-array" not in forms
