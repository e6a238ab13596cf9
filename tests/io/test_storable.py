"""What could not be written is named beforehand, and nothing else is."""

from importlib.metadata import version
from pathlib import Path

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scmoe.datasets import read, write
from scmoe.io._files import WriteError
from scmoe.io._quiet import quiet_mudata
from scmoe.io._storable import refuse_unstorable, unstorable

NEW = tuple(map(int, version("anndata").split(".")[:2])) >= (0, 13)
SUFFIXES = (".h5mu", ".zarr")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_ordinary_data_can_be_written(paired: mudata.MuData, suffix: str) -> None:
    paired.obs["flag"] = pd.array([True, None] * (paired.n_obs // 2), dtype="boolean")
    paired.obs["text"] = pd.array(["a", None] * (paired.n_obs // 2), dtype="string")
    paired.uns["nothing"] = None
    assert list(unstorable(paired, suffix)) == []


PROBLEMS = {
    "dates": ("obs", lambda m: m.obs.__setitem__("x", pd.to_datetime(["2020-01-01"] * m.n_obs)), r"mdata.obs\['x'\]"),
    "mixed": (
        "obs",
        lambda m: m["rna"].obs.__setitem__("x", [1, "a"] * (m["rna"].n_obs // 2)),
        r"mdata\['rna'\].obs\['x'\]",
    ),
    "tuple": ("uns", lambda m: m.uns.__setitem__("x", (1, 2)), r"mdata.uns\['x'\]"),
    "object": ("uns", lambda m: m["adt"].uns.__setitem__("x", object()), r"mdata\['adt'\].uns\['x'\]"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_place_and_remedy_are_named(paired: mudata.MuData, name: str) -> None:
    _, spoil, place = PROBLEMS[name]
    spoil(paired)
    for suffix in SUFFIXES:
        with pytest.raises(WriteError, match=rf"{place} cannot be written .* (Convert|Rename)"):
            refuse_unstorable(paired, suffix)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("part", ["obs", "uns", "layers", "obsm"])
def test_slash_in_a_key_is_found_where_it_cannot_be_written(paired: mudata.MuData, part: str, suffix: str) -> None:
    adata = paired["rna"]
    values = {"obs": 1.0, "uns": 1.0, "layers": adata.X.copy(), "obsm": np.ones((adata.n_obs, 1))}
    getattr(adata, part)["CD4/CD8"] = values[part]
    problems = list(unstorable(paired, suffix))
    if NEW or suffix == ".zarr" or part in ("layers", "obsm"):  # older anndata writes these, and cannot read them
        assert len(problems) == 1
        assert f"mdata['rna'].{part}['CD4/CD8']" in problems[0]
        assert "Rename it" in problems[0]
        assert "CD4_CD8" in problems[0]
    else:
        assert problems == []


def test_anndata_is_called_adata() -> None:
    adata = ad.AnnData(np.ones((2, 2), np.float32), uns={"x": (1, 2)})
    assert next(unstorable(adata, ".h5ad")).startswith("adata.uns['x']")


def test_nothing_is_changed(paired: mudata.MuData, contents) -> None:
    before = contents(paired)
    with quiet_mudata():
        list(unstorable(paired, ".zarr"))
    assert contents(paired) == before


def test_raw_counts_too() -> None:
    adata = ad.AnnData(np.ones((2, 2)))
    adata.var["mixed"] = [1, "a"]
    adata.raw = adata.copy()
    adata.var = adata.var[[]]
    assert [problem.split(" ")[0] for problem in unstorable(adata, ".h5ad")] == ["adata.raw.var['mixed']"]


def test_sparse_matrix_of_another_kind_is_named(paired: mudata.MuData) -> None:
    paired["rna"].uns["graph"] = sparse.coo_matrix(np.eye(2))
    assert "uns['graph']" in next(unstorable(paired, ".h5mu"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_name_of_a_modality_that_files_cannot_hold_is_refused(paired: mudata.MuData, suffix: str) -> None:
    with quiet_mudata():
        mdata = mudata.MuData({"rna/a": paired["rna"]})
    with pytest.raises(WriteError, match="name of a modality.*'rna/a'"):
        refuse_unstorable(mdata, suffix)


def test_shared_features_do_not_survive_zarr(paired: mudata.MuData, tmp_path: Path) -> None:
    rna = paired["rna"]
    other = rna.copy()
    other.obs_names = [f"other-{name}" for name in rna.obs_names]
    with quiet_mudata():
        mdata = mudata.MuData({"a": rna, "b": other}, axis=1)
        with pytest.raises(WriteError, match="axis 1.*Write it as .h5mu"):
            write(mdata, tmp_path / "a.zarr")
        mdata.write_zarr(tmp_path / "a.zarr")
    with pytest.raises(ValueError, match="expected modalities that share cells.*axis 1"):
        read(tmp_path / "a.zarr")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_key_that_could_not_be_read_again_is_refused(paired: mudata.MuData, suffix: str, tmp_path: Path) -> None:
    paired["rna"].obsm["X/umap"] = np.ones((paired["rna"].n_obs, 2))
    with pytest.raises(WriteError, match=r"obsm\['X/umap'\] cannot be written.*obsm\['X_umap'\] = "):
        write(paired, tmp_path / f"a{suffix}")


@pytest.mark.parametrize("entry", [{"odd": {"": 1}}, {"": 1}, {"odd": {"deep": {"": 1}}}])
def test_entries_without_a_name_are_told(raw, entry):
    raw.uns.update(entry)
    (problem,) = unstorable(raw, ".h5mu")
    assert "entry without a name" in problem and ("uns['odd']" in problem or "" in entry)


def test_complex_numbers_are_told(raw):
    raw["rna"].obs["odd"] = 1j
    problem = next(unstorable(raw, ".h5mu"))
    assert problem.startswith("mdata['rna'].obs['odd'] holds complex numbers")


def test_of_large_arrays_and_tables_of_numbers_a_row_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: dict[str, int] = {}
    monkeypatch.setattr("scmoe.io._storable.FRAMES", ())
    monkeypatch.setattr(
        "scmoe.io._storable.write_elem",
        lambda _, __, value: tried.update({key: item.shape[0] for key, item in value.items()}),
    )
    adata = ad.AnnData(sparse.csr_matrix(np.ones((9, 2))), layers={"layer": np.ones((9, 2))})
    adata.obsm["table"] = pd.DataFrame(np.ones((9, 3)), adata.obs_names, list("abc"))
    assert list(unstorable(adata, ".h5ad")) == []
    assert tried == {"X": 1, "layer": 1, "table": 1}
