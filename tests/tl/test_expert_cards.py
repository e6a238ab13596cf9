import numpy as np
import pandas as pd
import pytest
from mudata import read_h5mu

import scmoe
from scmoe.datasets._write import write
from scmoe.io._quiet import quiet_mudata
from scmoe.tl import _feature_chunks


@pytest.fixture
def table(mosaic, trained_mosaic):
    scmoe.tl.expert_cards(mosaic, trained_mosaic, groupby="cell_type", n_top=100)
    return mosaic.uns["scmoe"]["expert_cards"]


def test_writes_the_table_only(mosaic, trained_mosaic, contents, written):
    before = contents(mosaic)
    scmoe.tl.expert_cards(mosaic, trained_mosaic, key_added="a")
    assert written(before, mosaic) == {"uns/a/expert_cards"}


@pytest.mark.parametrize(("modality", "feature"), [("rna", "gene7"), ("ephys", "ephys3")])
def test_correlation_with_the_modality_s_own_use(mosaic, trained_mosaic, table, modality, feature):
    use = trained_mosaic.get_router_activations(mosaic)[modality][:, 0, 1]
    own = mosaic[modality][:, feature]
    values = own.X.toarray() if hasattr(own.X, "toarray") else own.X
    both = pd.DataFrame({"x": pd.Series(values[:, 0], own.obs_names), "u": pd.Series(use, mosaic.obs_names)}).dropna()
    row = table[(table["kind"] == "feature") & (table["expert"] == 1) & (table["name"] == feature)].iloc[0]
    assert row["value"] == pytest.approx(np.corrcoef(both["x"], both["u"])[0, 1], abs=1e-5)
    assert row["n_cells"] == len(both)


def test_parts_of_the_cells_do_not_matter(mosaic, trained_mosaic, table, monkeypatch):
    monkeypatch.setattr(_feature_chunks, "VALUES_AT_ONCE", 500)
    scmoe.tl.expert_cards(mosaic, trained_mosaic, groupby="cell_type", n_top=100, key_added="a")
    pd.testing.assert_frame_equal(mosaic.uns["a"]["expert_cards"], table)


def test_counts_are_read_as_the_model_reads_them(fresh, fit_model):
    mdata = fresh("mosaic")
    model = fit_model(mdata, setup={"likelihoods": {"rna": "nb"}})
    scmoe.tl.expert_cards(mdata, model, n_top=100)
    found = mdata.uns["scmoe"]["expert_cards"].query("kind == 'feature' and expert == 0 and name == 'gene7'").iloc[0]
    counts = mdata["rna"].layers["counts"].toarray()
    values = np.log1p(1e4 * counts[:, 7] / counts.sum(axis=1))
    use = model.get_router_activations(mdata)["rna"][mdata.obs_names.get_indexer(mdata["rna"].obs_names), 0, 0]
    assert found["value"] == pytest.approx(np.corrcoef(values, use)[0, 1], abs=1e-4)


def test_query_without_a_modality(mosaic, trained_mosaic):
    with quiet_mudata():
        query = mosaic[mosaic["adt"].obs_names].copy()
        del query.mod["rna"]
    scmoe.tl.expert_cards(query, trained_mosaic)
    assert "rna" not in set(query.uns["scmoe"]["expert_cards"]["modality"])


def test_table_survives_a_file(mosaic, table, tmp_path):
    write(mosaic, tmp_path / "a.h5mu")
    with quiet_mudata():
        stored = read_h5mu(tmp_path / "a.h5mu").uns["scmoe"]["expert_cards"]
    pd.testing.assert_frame_equal(stored, table, check_dtype=False, check_categorical=False)


def test_bad_arguments(mosaic, trained_mosaic):
    with pytest.raises(KeyError, match="groupby='x' is not a column"):
        scmoe.tl.expert_cards(mosaic, trained_mosaic, groupby="x")
    with pytest.raises(ValueError, match="n_top must be a whole number of at least 1; found 0"):
        scmoe.tl.expert_cards(mosaic, trained_mosaic, n_top=0)
