"""Cells are paired by name: their order in a modality changes nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mudata import MuData

import scmoe
from scmoe.io._quiet import quiet_mudata


def reordered(mdata: MuData, name: str, order: np.ndarray) -> MuData:
    """The same cells in the same order of the whole, one modality in another."""
    mods = {each: adata[order].copy() if each == name else adata.copy() for each, adata in mdata.mod.items()}
    with quiet_mudata():
        return MuData(mods, obs=mdata.obs.copy())


@pytest.fixture(scope="module")
def reference(fresh, tl_train) -> MuData:
    mdata = fresh("raw")
    scmoe.pp.prepare(mdata)
    tl_train(mdata, labels_key="cell_type", batch_key="batch")
    return mdata


@pytest.mark.parametrize("name", ["rna", "adt"])
@settings(max_examples=3)
@given(seed=st.integers(0, 2**16))
def test_the_order_of_cells_in_a_modality_changes_nothing(fresh, tl_train, reference, name, seed) -> None:
    mdata = fresh("raw")
    other = reordered(mdata, name, np.random.default_rng(seed).permutation(mdata.mod[name].n_obs))
    assert other.obs_names.equals(mdata.obs_names) and not other[name].obs_names.equals(mdata[name].obs_names)
    scmoe.pp.prepare(other)
    tl_train(other, labels_key="cell_type", batch_key="batch")
    np.testing.assert_allclose(other.obsm["X_scmoe"], reference.obsm["X_scmoe"], atol=1e-4)
    assert other.obs["scmoe_label"].astype(str).equals(reference.obs["scmoe_label"].astype(str))
    for each in ("rna", "adt"):
        states = [data[each].obs.join(data[each].to_df()).loc[mdata.obs_names] for data in (other, reference)]
        assert states[0].equals(states[1])
