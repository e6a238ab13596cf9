"""Mini-batches against a slow reference that looks every cell and feature up by name."""

import numpy as np
import pytest
import torch
from mudata import MuData
from scipy import sparse

from scmoe.data._dataset import MosaicDataset
from scmoe.data._setup import Setup
from scmoe.io._quiet import quiet_mudata


def dense(adata, layer=None):
    values = adata.X if layer is None else adata.layers[layer]
    return values.toarray() if sparse.issparse(values) else np.asarray(values)


def by_name(mdata, setup, v, cell, layer=None):
    """The values of one cell, feature by feature; None if it lacks the modality."""
    adata = mdata.mod[setup.modalities[v]]
    if cell not in adata.obs_names:
        return None
    row = dense(adata, layer)[list(adata.obs_names).index(cell)]
    return np.array([row[list(adata.var_names).index(f)] for f in setup.feature_names[setup.modalities[v]]], np.float32)


def dataset_of(mdata, **arguments):
    return MosaicDataset(mdata, Setup.from_mudata(mdata, **arguments))


def everything(dataset):
    return dataset[np.arange(len(dataset))]


def test_rows_belong_to_their_cells(mosaic):
    for name in list(mosaic.mod):
        order = np.random.default_rng(len(name)).permutation(mosaic[name].n_obs)
        mosaic.mod[name] = mosaic[name][order].copy()
    with quiet_mudata():
        mosaic.update()
    dataset = dataset_of(mosaic)
    cells = np.random.default_rng(0).permutation(len(dataset))[:40]
    batch = dataset[cells]
    for v in range(3):
        for i, cell in enumerate(mosaic.obs_names[cells]):
            expected = by_name(mosaic, dataset.setup, v, cell)
            assert bool(batch.presence.mask[i, v]) == (expected is not None)
            if expected is not None:
                row = int(batch.presence.mask[:i, v].sum())
                np.testing.assert_array_equal(batch.values[v][row], np.nan_to_num(expected, nan=0))
        assert len(batch.values[v]) == batch.presence.mask[:, v].sum()


def test_missing_values_are_marked_where_they_are(mosaic):
    dataset = dataset_of(mosaic, modalities=["ephys", "rna", "adt"])
    batch = everything(dataset)
    assert batch.observed[1] is None and batch.observed[2] is None
    rows = [by_name(mosaic, dataset.setup, 0, cell) for cell in mosaic.obs_names]
    np.testing.assert_array_equal(batch.observed[0], ~np.isnan([row for row in rows if row is not None]))


def test_batches_hold_no_nan(mosaic):
    assert all(torch.isfinite(values).all() for values in everything(dataset_of(mosaic)).values)


def test_reading_leaves_the_data_alone(mosaic, contents):
    before = contents(mosaic)
    batch = everything(dataset_of(mosaic, likelihoods={"rna": "nb"}))
    for values in (*batch.values, batch.counts[0]):
        values.fill_(7)
    assert contents(mosaic) == before


def test_counts_come_raw_and_log_normalized(paired):
    batch = everything(dataset_of(paired, likelihoods={"rna": "nb"}))
    counts = dense(paired["rna"], "counts")
    np.testing.assert_array_equal(batch.counts[0], counts)
    expected = np.log1p(1e4 * counts / counts.sum(1, keepdims=True))
    np.testing.assert_allclose(batch.values[0], expected, rtol=1e-6)
    assert batch.counts[1] is None


def test_a_cell_without_counts_was_not_measured(paired):
    paired["rna"].layers["counts"] = paired["rna"].layers["counts"].toarray()
    paired["rna"].layers["counts"][5] = 0
    batch = everything(dataset_of(paired, likelihoods={"rna": "nb"}))
    assert not batch.presence.mask[5, 0]
    assert batch.presence.mask[:, 0].sum() == paired.n_obs - 1
    assert len(batch.values[0]) == paired.n_obs - 1


def test_a_cell_without_counts_in_any_modality_keeps_them(paired):
    for name, layer in (("rna", "counts"), ("adt", None)):
        matrix = paired[name].layers["counts"].toarray() if layer else paired[name].X
        matrix[paired[name].obs_names.get_loc(paired.obs_names[5])] = 0
        if layer:
            paired[name].layers[layer] = matrix
    batch = everything(dataset_of(paired, likelihoods={"rna": "nb"}))
    assert batch.presence.mask[5].all()
    assert not batch.values[0][5].any()


@pytest.mark.parametrize(
    "form",
    [sparse.csc_matrix, sparse.csr_array, sparse.csc_array, np.asfortranarray, lambda x: x.astype(np.int64)],
    ids=["csc_matrix", "csr_array", "csc_array", "fortran", "int64"],
)
def test_every_matrix_form_gives_the_same_batch(raw, form):
    likelihoods = {"rna": "nb", "adt": "poisson"}
    expected = everything(dataset_of(raw, likelihoods=likelihoods))
    for name in raw.mod:
        raw[name].X = form(dense(raw[name]))
    found = everything(dataset_of(raw, likelihoods=likelihoods))
    for v in range(2):
        assert found.values[v].dtype == found.counts[v].dtype == torch.float32
        assert torch.equal(found.values[v], expected.values[v]) and torch.equal(found.counts[v], expected.counts[v])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.float64])
def test_every_number_type_gives_the_same_batch(raw, dtype):
    expected = everything(dataset_of(raw, likelihoods={"rna": "nb"}, modalities=["rna"]))
    raw["rna"].X = raw["rna"].X.astype(dtype)
    found = everything(dataset_of(raw, likelihoods={"rna": "nb"}, modalities=["rna"]))
    assert torch.equal(found.counts[0], expected.counts[0]) and torch.equal(found.values[0], expected.values[0])


@pytest.mark.parametrize("to", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_matrix.toarray])
def test_permuted_features_are_put_in_order(paired, to):
    setup = Setup.from_mudata(paired)
    expected = everything(MosaicDataset(paired, setup))
    order = np.random.default_rng(0).permutation(paired["rna"].n_vars)
    paired.mod["rna"] = paired["rna"][:, order].copy()
    paired["rna"].X = to(paired["rna"].X)
    with quiet_mudata():
        paired.update()
    assert torch.equal(everything(MosaicDataset(paired, setup)).values[0], expected.values[0])


@pytest.mark.parametrize("to", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_matrix.toarray])
def test_features_that_a_query_lacks_are_unobserved_and_others_are_not_read(paired, to):
    setup = Setup.from_mudata(paired)
    genes = paired["rna"].var_names[np.random.default_rng(0).permutation(60)[:40]]
    query = paired["rna"][:, genes].copy()
    query.var_names = [*genes[:25], *(f"other{i}" for i in range(15))]
    query.X = to(query.X)
    with quiet_mudata():
        mdata = MuData({"rna": query, "adt": paired["adt"].copy()})
    dataset = MosaicDataset(mdata, setup)
    batch = dataset[np.arange(50)]
    found = np.isin(setup.feature_names["rna"], genes[:25])
    np.testing.assert_array_equal(batch.observed[0], np.tile(found, (50, 1)))
    for i, cell in enumerate(mdata.obs_names[:50]):
        expected = {
            gene: dense(paired["rna"])[paired.obs_names.get_loc(cell)][j]
            for j, gene in enumerate(setup.feature_names["rna"])
        }
        np.testing.assert_array_equal(batch.values[0][i], [expected[g] * (g in genes[:25]) for g in expected])
    assert dataset.n_found == {"rna": 25, "adt": 12} and batch.observed[1] is None


def test_absent_features_and_missing_values_add_up(mosaic):
    setup = Setup.from_mudata(mosaic)
    full = everything(MosaicDataset(mosaic, setup)).observed[2]
    mosaic.mod["ephys"] = mosaic["ephys"][:, [6, 1, 2]].copy()
    with quiet_mudata():
        mosaic.update()
    found = everything(MosaicDataset(mosaic, setup)).observed[2]
    assert torch.equal(found[:, [1, 2, 6]], full[:, [1, 2, 6]]) and not found[:, [0, 3, 4, 5, 7]].any()


def test_batches_and_codes_of_labels(paired):
    paired.obs["cell_type"] = paired.obs["cell_type"].cat.rename_categories({"NK": "Unknown"})
    dataset = dataset_of(paired, batch_key="batch", labels_key="cell_type")
    covariates = everything(dataset).covariates
    for i in range(len(paired.obs)):
        assert covariates[i].tolist() == {"donor1": [1, 0], "donor2": [0, 1]}[paired.obs["batch"].iloc[i]]
        assert dataset.label[i] == {"B": 0, "Unknown": -1, "T": 1}[paired.obs["cell_type"].iloc[i]]


def test_only_keeps_the_cells_and_hides_their_other_modalities(mosaic):
    batch = everything(dataset_of(mosaic, likelihoods={"rna": "nb"}))
    found = batch.only([0, 2])
    assert torch.equal(found.presence.mask, batch.presence.mask & torch.tensor([True, False, True]))
    assert [len(values) for values in found.values] == [len(batch.values[0]), 0, len(batch.values[2])]
    assert torch.equal(found.counts[0], batch.counts[0]) and torch.equal(found.observed[2], batch.observed[2])
    assert torch.equal(found.covariates, batch.covariates)
    assert found.presence.cells[1].tolist() == []


def test_without_keys_one_batch_and_no_label(paired):
    dataset = dataset_of(paired)
    assert everything(dataset).covariates.tolist() == [[1]] * 120 and (dataset.label == -1).all()


def test_a_query_may_have_new_categories_no_labels_and_fewer_modalities(paired):
    setup = Setup.from_mudata(paired, batch_key="batch", labels_key="cell_type")
    with quiet_mudata():
        query = MuData({"adt": paired["adt"].copy()})
    query.obs["batch"] = "donor9"
    dataset = MosaicDataset(query, setup)
    batch = everything(dataset)
    assert batch.presence.mask.tolist() == [[False, True]] * len(query.obs)
    assert [len(values) for values in batch.values] == [0, 120]
    assert batch.covariates.tolist() == [[0.5, 0.5]] * 120 and (dataset.label == -1).all()


def test_a_query_may_be_without_any_value_of_a_feature(mosaic, trained_mosaic):
    absent, empty = mosaic.copy(), mosaic.copy()
    absent = MuData({**{name: absent[name] for name in ("rna", "adt")}, "ephys": absent["ephys"][:, 1:].copy()})
    empty["ephys"].X[:, 0] = np.nan
    found = [trained_mosaic.get_latent_representation(query) for query in (absent, empty)]
    np.testing.assert_array_equal(*found)
