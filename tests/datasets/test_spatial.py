"""The simulated tissue: what is planted is there, and what cannot be simulated is named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import sparse
from scipy.stats import spearmanr

from scmoe._matrix import looks_like_counts
from scmoe.datasets._read import read
from scmoe.datasets._spatial import REACH, SPACING, simulate_spatial
from scmoe.io._quiet import quiet_mudata


@pytest.fixture(scope="module")
def tissue() -> MuData:
    return simulate_spatial(n_cells=1500, n_slices=2, seed=1)


def test_counts_coordinates_and_labels_are_where_they_should_be(tissue: MuData) -> None:
    assert {name: adata.shape for name, adata in tissue.mod.items()} == {"rna": (1500, 200), "protein": (1500, 30)}
    assert sparse.issparse(tissue["rna"].X) and isinstance(tissue["protein"].X, np.ndarray)
    assert all(looks_like_counts(adata.X) and adata.X.dtype == np.float32 for adata in tissue.mod.values())
    for adata in tissue.mod.values():
        np.testing.assert_array_equal(adata.obsm["spatial"], tissue.obsm["spatial"])
    assert tissue.obs.nunique().to_dict() == {"slice": 2, "region": 4, "cell_type": 6}


def test_slices_are_squares_that_overlap(tissue: MuData) -> None:
    spatial = pd.DataFrame(tissue.obsm["spatial"], tissue.obs_names)
    for _, points in spatial.groupby(tissue.obs["slice"], observed=True):
        side = SPACING * np.sqrt(len(points))
        assert points.to_numpy().min() >= 0 and 0.95 * side < points.to_numpy().max() <= side


def test_neighbors_share_the_region_and_types_follow_it(tissue: MuData) -> None:
    region, proportions = tissue.obs["region"].to_numpy(), tissue.uns["simulation"]["proportions"]
    distance = distances(tissue)
    assert (region[distance.argmin(axis=1)] == region).mean() > 0.85
    found = pd.crosstab(tissue.obs["region"], tissue.obs["cell_type"], normalize="index")
    np.testing.assert_allclose(found, proportions.loc[found.index, found.columns], atol=0.08)
    np.testing.assert_allclose(proportions.sum(axis=1), 1)


def distances(mdata: MuData) -> np.ndarray:
    """Between cells of the same slice; infinite for others and for the cell itself."""
    spatial, slices = mdata.obsm["spatial"], mdata.obs["slice"].to_numpy()
    found = np.linalg.norm(spatial[:, None] - spatial, axis=2)
    found[slices[:, None] != slices] = np.inf
    np.fill_diagonal(found, np.inf)
    return found


def test_signal_comes_from_senders_nearby(tissue: MuData) -> None:
    weights = np.exp(-(distances(tissue) ** 2) / (2 * REACH**2))
    for signal, sender in tissue.uns["simulation"]["senders"].items():
        near = weights @ (tissue.obs["cell_type"] == sender).to_numpy(float)
        assert spearmanr(near, tissue.obsm["signal"][signal]).statistic > 0.9
    np.testing.assert_allclose(tissue.obsm["signal"].mean(), 0, atol=1e-9)
    np.testing.assert_allclose(tissue.obsm["signal"].std(ddof=0), 1)


def log_share(mdata: MuData, modality: str) -> pd.DataFrame:
    """Log1p of the counts per 10 000."""
    counts = mdata[modality].to_df()
    return np.log1p(counts.div(counts.sum(axis=1), axis=0) * 1e4)


@pytest.mark.parametrize("modality", ["rna", "protein"])
@pytest.mark.parametrize("influence", [0.0, 1.0])
def test_responding_features_follow_their_signal_if_there_is_influence(influence: float, modality: str) -> None:
    mdata = simulate_spatial(influence=influence)
    var, values = mdata[modality].var, log_share(mdata, modality)
    responding = var.index[var["responds_to"] != ""]
    r = [values[f].corr(mdata.obsm["signal"][var.loc[f, "responds_to"]]) for f in responding]
    followed = np.array(r) * np.sign(var.loc[responding, "strength"])
    assert np.median(followed) > 0.3 if influence else np.abs(followed).max() < 0.2


def test_markers_and_ligands_are_high_where_they_should_be(tissue: MuData) -> None:
    var = tissue["rna"].var
    mean = log_share(tissue, "rna").groupby(tissue.obs["cell_type"], observed=True).mean()
    markers = var.index[var["marker_of"] != ""]
    assert (mean[markers].idxmax() == var.loc[markers, "marker_of"]).mean() > 0.95
    senders = tissue.uns["simulation"]["senders"]
    ligands = var["ligand"][var["ligand"] != ""]
    assert mean[ligands.index].idxmax().tolist() == [senders[signal] for signal in ligands]


def test_roles_of_genes_do_not_overlap_and_proteins_have_those_of_their_genes(tissue: MuData) -> None:
    var, proteins = tissue["rna"].var, tissue["protein"].var
    roles = var[["marker_of", "ligand", "responds_to"]] != ""
    assert roles.sum().tolist() == [50, 3, 33] and roles.sum(axis=1).max() == 1
    assert ((var["strength"] != 0) == roles["responds_to"]).all()
    genes = var.loc[proteins["gene"]]
    assert genes["marker_of"].tolist() == proteins["marker_of"].tolist()
    np.testing.assert_allclose(proteins["strength"], 0.8 * genes["strength"])
    assert proteins["gene"].is_unique


def test_seed_decides_everything(contents: Callable) -> None:
    state = np.random.get_state()[1].copy()
    first, again, other = (contents(simulate_spatial(100, seed=seed)) for seed in (3, 3, 4))
    assert first == again
    assert first["mod/rna/X"] != other["mod/rna/X"] and first["obsm/spatial"] != other["obsm/spatial"]
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_influence_changes_counts_only(contents: Callable) -> None:
    without, plain = (contents(simulate_spatial(100, influence=influence)) for influence in (0.0, 1.0))
    changed = {path for path in plain if plain[path] != without[path]}
    assert changed == {"mod/rna/X", "mod/protein/X", "uns/simulation/influence"}


@pytest.mark.parametrize("suffix", ["h5mu", "zarr"])
def test_disk_round_trip(tmp_path: Path, contents: Callable, suffix: str) -> None:
    mdata = simulate_spatial(60, n_slices=2)
    with quiet_mudata():
        (mdata.write_h5mu if suffix == "h5mu" else mdata.write_zarr)(tmp_path / f"a.{suffix}")
    again = read(tmp_path / f"a.{suffix}")
    pd.testing.assert_frame_equal(again["rna"].var, mdata["rna"].var, check_dtype=False)
    pd.testing.assert_frame_equal(again.obsm["signal"], mdata.obsm["signal"])
    assert again.uns["simulation"]["senders"] == mdata.uns["simulation"]["senders"]
    np.testing.assert_array_equal(again["protein"].X, mdata["protein"].X)


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({"n_cells": 0}, ValueError, "n_cells must be a whole number of at least 1; found 0"),
        ({"n_cells": 50, "n_slices": 3}, ValueError, "n_cells must be at least 60, 20 a slice; found 50"),
        ({"n_slices": 0}, ValueError, "n_slices must be a whole number of at least 1; found 0"),
        ({"n_regions": 0}, ValueError, "n_regions must be a whole number of at least 1"),
        ({"n_types": 2}, ValueError, "n_types must be at least 4, for 3 signals and n_regions=4; found 2"),
        ({"n_types": 2, "n_regions": 1}, ValueError, "n_types must be at least 3"),
        ({"n_genes": 20}, ValueError, "n_genes must be at least 36, 6 a type; found 20"),
        ({"n_proteins": 0}, ValueError, "n_proteins must be a whole number of at least 1"),
        ({"n_proteins": 300}, ValueError, "n_proteins must be at most n_genes=200"),
        ({"n_cells": 100.0}, TypeError, r"n_cells must be a whole number of at least 1; found 100\.0"),
        ({"n_types": True}, TypeError, "n_types must be a whole number of at least 1; found True"),
        ({"influence": -1}, ValueError, "influence must be a number of at least 0; found -1"),
        ({"influence": np.nan}, ValueError, "influence must be a number of at least 0; found nan"),
        ({"influence": "strong"}, TypeError, "influence must be a number of at least 0; found 'strong'"),
    ],
)
def test_impossible_tissues_are_refused(kwargs: dict, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        simulate_spatial(**kwargs)


@pytest.mark.parametrize("kwargs", [{"n_cells": 20}, {"n_regions": 1}, {"n_types": 3, "n_regions": 3, "n_genes": 18}])
def test_smallest_tissues_are_finite(kwargs: dict) -> None:
    mdata = simulate_spatial(**{"n_proteins": 5, **kwargs})
    assert np.isfinite(mdata.obsm["signal"].to_numpy()).all()
    assert all(np.isfinite(adata.X.sum()) for adata in mdata.mod.values())
