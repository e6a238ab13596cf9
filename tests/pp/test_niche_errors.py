"""Data and settings of which no niche can be made: the message says why, and nothing is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mudata
import numpy as np
import pytest
from mudata import MuData

from scmoe.datasets._spatial import simulate_spatial
from scmoe.io._quiet import quiet_mudata
from scmoe.pp._niche import niche
from scmoe.pp._prepare import prepare

NAME = "rna_niche"


@pytest.fixture
def tissue() -> MuData:
    mdata = simulate_spatial(n_cells=90, n_slices=2, n_genes=36, n_proteins=5)
    prepare(mdata)
    return mdata


def coordinates(change: Callable[[np.ndarray], Any], owner: str = "rna") -> Callable[[MuData], None]:
    def apply(mdata: MuData) -> None:
        place = mdata[owner]
        place.obsm["spatial"] = change(place.obsm["spatial"].copy())

    return apply


def with_value(row: int, value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values[row, 0] = value
        return values

    return change


def without_coordinates(mdata: MuData) -> None:
    for place in (mdata, *mdata.mod.values()):
        del place.obsm["spatial"]


def without_slice(mdata: MuData) -> None:
    mdata.obs["slice"] = mdata.obs["slice"].where(np.arange(mdata.n_obs) != 7)


def with_infinite_value(mdata: MuData) -> None:
    mdata["protein"].X[3, 2] = np.inf


def unprepared(mdata: MuData) -> None:
    del mdata.uns["scmoe"]


def taken(mdata: MuData) -> None:
    mdata.obsm[NAME] = np.zeros((mdata.n_obs, 2))


def taken_by_choices(mdata: MuData) -> None:
    mdata.obsm[NAME] = np.ones((mdata.n_obs, 2), bool)


def taken_by_features(mdata: MuData) -> None:
    mdata.varm[NAME] = np.ones((mdata.n_vars, 2), bool)


def unchanged(mdata: MuData) -> None:
    """Nothing is wrong with the data."""


@pytest.mark.parametrize(
    ("change", "kwargs", "error", "match"),
    [
        (unchanged, {"modality": "atac"}, KeyError, r"no modality 'atac'; it has rna, protein"),
        (without_coordinates, {}, KeyError, r"neither mdata\['rna'\].obsm nor mdata.obsm has 'spatial'; found signal"),
        (unchanged, {"spatial_key": "xy"}, KeyError, "has 'xy'; found spatial"),
        (
            coordinates(with_value(3, np.nan)),
            {},
            ValueError,
            r"up to 1e\+18; 1 cells .* is 'cell3' with \[nan",
        ),
        (coordinates(with_value(3, np.inf)), {}, ValueError, "finite numbers"),
        (coordinates(lambda x: x[:, :1]), {}, ValueError, r"2 or 3 columns; found float64 of shape \(90, 1\)"),
        (coordinates(lambda x: np.hstack([x, x])), {}, ValueError, r"2 or 3 columns; .* \(90, 4\)"),
        (coordinates(lambda x: x.astype(str)), {}, ValueError, "must hold numbers in 2 or 3 columns"),
        (coordinates(np.zeros_like), {}, ValueError, r"All 90 cells in mdata\['rna'\] have the same coordinates"),
        (unchanged, {"n_neighbors": 90}, ValueError, r"more than 90 cells in mdata\['rna'\]; found 90"),
        (unchanged, {"n_neighbors": 45, "batch_key": "slice"}, ValueError, "cells in slice 'slice0'; found 45"),
        (unchanged, {"n_neighbors": 0}, ValueError, "n_neighbors must be a whole number of at least 1; found 0"),
        (unchanged, {"n_neighbors": 2.5}, TypeError, "n_neighbors must be a whole number of at least 1; found 2.5"),
        (unchanged, {"batch_key": "donor"}, KeyError, "'donor' is not a column of mdata.obs; found slice, region"),
        (without_slice, {"batch_key": "slice"}, ValueError, "a value for every cell; cell 'cell7' has none"),
        (unprepared, {}, ValueError, r"mdata\['rna'\] is not prepared. Run scmoe.pp.prepare"),
        (with_infinite_value, {"modality": "protein"}, ValueError, r"mdata\['protein'\].X has infinite values"),
        (unchanged, {"key_added": "protein"}, ValueError, "has the modality 'protein' already"),
        (taken, {}, ValueError, f"mdata.obsm has '{NAME}', which a modality"),
        (taken_by_choices, {}, ValueError, f"mdata.obsm has '{NAME}', which a modality"),
        (taken_by_features, {}, ValueError, f"mdata.varm has '{NAME}', which a modality"),
        (unchanged, {"key_added": "a\\b"}, ValueError, "that files can hold"),
        (unchanged, {"key_added": "a/b"}, ValueError, "a name without '.' and '/'; found 'a/b'"),
        (unchanged, {"key_added": ""}, ValueError, "key_added must be a name"),
    ],
)
def test_errors_say_what_to_do_and_write_nothing(
    tissue: MuData, contents: Callable, change, kwargs, error, match: str
) -> None:
    change(tissue)
    before = contents(tissue)
    with pytest.raises(error, match=match):
        niche(tissue, **kwargs)
    assert contents(tissue) == before


def test_views_and_backed_data_are_refused(tissue: MuData, tmp_path: Path) -> None:
    with quiet_mudata():
        view = tissue[:50]
        tissue.write_h5mu(tmp_path / "a.h5mu")
        backed = mudata.read_h5mu(tmp_path / "a.h5mu", backed="r")
    with pytest.raises(ValueError, match="is a view of another one"):
        niche(view)
    with pytest.raises(ValueError, match="on_disk=True"):
        niche(backed)
