"""Reading: every format becomes the same MuData; what cannot be read is named."""

import warnings
from pathlib import Path

import anndata as ad
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scmoe.datasets import read
from scmoe.io._quiet import quiet_mudata

COUNTS = np.array([[1, 0, 2, 3, 0], [0, 5, 0, 1, 1]], dtype=np.int32)
TYPES = ["Gene Expression"] * 3 + ["Antibody Capture", "CRISPR Guide Capture"]
NAMES = ["CD4", "GENE", "GENE", "CD4", "guide"]


def write_10x(path: Path, types: list[str] = TYPES, names: list[str] = NAMES) -> Path:
    """Write `COUNTS` (cells x features) as Cell Ranger 3 does: compressed by cell."""
    matrix = sparse.csr_matrix(COUNTS)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(matrix, name)
        group["shape"] = np.array(COUNTS.shape[::-1])
        group["barcodes"] = np.array(["AAAC-1", "AAAG-1"], dtype="S")
        features = group.create_group("features")
        for key, values in (("id", [f"id{i}" for i in range(5)]), ("name", names), ("feature_type", types)):
            features[key] = np.array(values, dtype="S")
        features["genome"] = np.array(["GRCh38"] * 5, dtype="S")
    return path


def annotated() -> ad.AnnData:
    return ad.AnnData(
        COUNTS.astype(np.float32), obs=pd.DataFrame(index=["a", "b"]), var=pd.DataFrame(index=list("vwxyz"))
    )


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="The .future.infer_string. option")  # in anndata 0.13
        yield


@pytest.mark.parametrize("suffix", [".h5mu", ".zarr"])
def test_mudata_comes_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    with quiet_mudata():
        mdata = mudata.MuData({"rna": annotated(), "other": annotated()})
        (mdata.write_h5mu if suffix == ".h5mu" else mdata.write_zarr)(path)
    again = read(str(path))
    assert list(again.mod) == ["rna", "other"]
    np.testing.assert_array_equal(again["other"].X, COUNTS)


@pytest.mark.parametrize("types", [None, ["GEX", "GEX", "GEX", "ADT", "ADT"]])
def test_columns_of_obs_in_h5ad_come_along(tmp_path: Path, types: list[str] | None) -> None:
    adata = annotated()
    adata.obs["batch"] = ["one", "two"]
    if types:
        adata.var["feature_types"] = types
    adata.write_h5ad(tmp_path / "a.h5ad")
    mdata = read(tmp_path / "a.h5ad")
    assert mdata.obs["batch"].to_dict() == {"a": "one", "b": "two"}


@pytest.mark.parametrize("name", ["rna", "protein"])
def test_h5ad_becomes_one_modality(tmp_path: Path, name: str) -> None:
    annotated().write_h5ad(tmp_path / "a.h5ad")
    assert list(read(tmp_path / "a.h5ad", modality=name).mod) == [name]


def test_h5ad_with_feature_types_is_split(tmp_path: Path) -> None:
    adata = annotated()
    adata.var["feature_types"] = ["GEX", "GEX", "GEX", "ADT", "ADT"]
    adata.write_h5ad(tmp_path / "a.h5ad")
    mdata = read(tmp_path / "a.h5ad")
    assert {name: mod.n_vars for name, mod in mdata.mod.items()} == {"rna": 3, "adt": 2}


def test_10x_file_is_split_by_feature_type(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch) -> None:
    monkeypatch.setattr("scmoe.datasets._read.logger.propagate", True)
    mdata = read(write_10x(tmp_path / "a.h5"))
    assert {name: mod.n_vars for name, mod in mdata.mod.items()} == {"rna": 3, "adt": 1, "crispr_guide_capture": 1}
    assert list(mdata["rna"].var_names) == ["CD4", "GENE", "GENE-1"]
    assert list(mdata["adt"].var_names) == ["CD4"]
    np.testing.assert_array_equal(mdata["rna"].X.toarray(), COUNTS[:, :3])
    assert "rna: 1 feature names occurred more than once" in caplog.text


def test_multiome_file_gives_atac(tmp_path: Path) -> None:
    types = ["Gene Expression"] * 2 + ["Peaks"] * 3
    mdata = read(write_10x(tmp_path / "a.h5", types, ["A", "B", "chr1:1-9", "chr1:20-30", "chr2:1-9"]))
    assert list(mdata.mod) == ["rna", "atac"]


def cut_short(path: Path) -> None:
    with quiet_mudata():
        mudata.MuData({"rna": annotated()}).write_h5mu(path)
    path.write_bytes(path.read_bytes()[:3000])


def other_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = 1


@pytest.mark.parametrize(
    ("name", "make", "error", "match"),
    [
        ("gone.h5mu", lambda p: None, FileNotFoundError, "There is no file .*gone.h5mu"),
        ("a.csv", lambda p: p.write_text("x"), ValueError, "expected one of .h5mu, .zarr, .h5ad, .h5, found '.csv'"),
        ("a.h5mu", lambda p: p.write_text("x"), ValueError, "Cannot read .*a.h5mu.*may be damaged"),
        ("a.h5mu", cut_short, ValueError, "Cannot read .*a.h5mu.*may be damaged"),
        ("a.h5mu", lambda p: annotated().write_h5ad(p), ValueError, "of another kind"),
        ("a.h5mu", other_hdf5, ValueError, "Cannot read"),
        ("a.h5mu", lambda p: p.mkdir(), ValueError, "it is a folder. Name a file"),
        ("folder", lambda p: p.mkdir(), ValueError, "it is a folder"),
        ("a.h5ad", other_hdf5, ValueError, "Cannot read"),
        ("a.h5", other_hdf5, ValueError, "Cannot read"),
        ("a.zarr", lambda p: p.mkdir(), ValueError, "Cannot read"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, make, error, match: str) -> None:
    make(tmp_path / name)
    with pytest.raises(error, match=match):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("error", "match"),
    [
        (PermissionError(13, "Permission denied"), "ask its owner"),
        (BlockingIOError(11, "unable to lock file"), "another program has it open"),
        (OSError("Can't synchronously read data (can't open directory (/usr/lib/plugin))"), "hdf5plugin"),
    ],
)
def test_a_whole_file_is_not_called_damaged(tmp_path: Path, monkeypatch, error: Exception, match: str) -> None:
    def refuse(path: Path) -> None:
        raise error

    (tmp_path / "a.h5mu").write_text("x")
    monkeypatch.setattr(mudata, "read_h5mu", refuse)
    with pytest.raises(ValueError, match=f"The file may be fine; .*{match}"):
        read(tmp_path / "a.h5mu")


def test_mudata_by_the_name_of_an_anndata_is_recognized(tmp_path: Path) -> None:
    with quiet_mudata():
        mudata.MuData({"rna": annotated()}).write_h5mu(tmp_path / "a.h5mu")
    (tmp_path / "a.h5mu").rename(tmp_path / "a.h5ad")
    with pytest.raises(ValueError, match="it is a MuData, and its name should end in .h5mu"):
        read(tmp_path / "a.h5ad")
