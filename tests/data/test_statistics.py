"""Statistics of the training cells against NumPy on dense data."""

import numpy as np
import pytest

from scmoe.data import _statistics
from scmoe.data._dataset import MosaicDataset
from scmoe.data._setup import Setup
from scmoe.data._statistics import fit_statistics

TRAIN = np.arange(0, 120, 2)


def dataset_of(mdata, **arguments):
    return MosaicDataset(mdata, Setup.from_mudata(mdata, **arguments))


def values_of(dataset, cells, v):
    """(n, D) values of the cells that have the modality, NaN where missing."""
    batch = dataset[cells[dataset.present[cells, v]]]
    values = batch.values[v].numpy().astype(np.float64)
    return values if batch.observed[v] is None else np.where(batch.observed[v].numpy(), values, np.nan)


@pytest.mark.parametrize("v", [0, 1, 2])
@pytest.mark.parametrize("chunk", [7, 2048])
def test_mean_and_spread_of_the_observed_values(mosaic, v, chunk, monkeypatch):
    monkeypatch.setattr(_statistics, "CHUNK", chunk)
    dataset = dataset_of(mosaic)
    found, values = fit_statistics(dataset, TRAIN, v, 5, seed=0), values_of(dataset, TRAIN, v)
    np.testing.assert_allclose(found.mean, np.nanmean(values, 0), rtol=1e-5, atol=1e-6)
    spread = np.nanstd(values, 0)
    np.testing.assert_allclose(found.std, np.where(spread == 0, 1, spread), rtol=1e-4)


def test_programs_are_the_leading_singular_vectors(mosaic):
    dataset = dataset_of(mosaic)
    values = values_of(dataset, TRAIN, 2)
    z = np.nan_to_num((values - np.nanmean(values, 0)) / np.nanstd(values, 0))
    _, singular, right = np.linalg.svd(z, full_matrices=False)
    found = fit_statistics(dataset, TRAIN, 2, 3, seed=0)
    cosine = (found.loadings * right[:3].T).sum(0)
    np.testing.assert_allclose(np.abs(cosine), 1, atol=1e-4)
    np.testing.assert_allclose(found.unit, (z @ right[:3].T).std(ddof=0), rtol=1e-2)
    np.testing.assert_allclose(found.unit, np.sqrt((singular[:3] ** 2).sum() / (len(z) * 3)), rtol=1e-4)


def test_no_other_cell_is_looked_at(paired):
    likelihoods = {"rna": "nb"}
    expected = [fit_statistics(dataset_of(paired, likelihoods=likelihoods), TRAIN, v, 5, seed=0) for v in (0, 1)]
    paired["rna"].layers["counts"] = paired["rna"].layers["counts"].toarray()
    for name, values in (("rna", paired["rna"].layers["counts"]), ("adt", paired["adt"].X)):
        others = ~paired[name].obs_names.isin(paired.obs_names[TRAIN])
        values[others] = 13
    found = [fit_statistics(dataset_of(paired, likelihoods=likelihoods), TRAIN, v, 5, seed=0) for v in (0, 1)]
    for before, after in zip(expected, found, strict=True):
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("constant", [0.0, 3.7, -1e6])
def test_a_constant_feature_gets_spread_one(paired, constant):
    paired["adt"].X[:, 4] = constant
    found = fit_statistics(dataset_of(paired), TRAIN, 1, 5, seed=0)
    assert found.std[4] == 1
    assert np.abs(found.loadings[4]).max() < 1e-3


def test_a_small_but_real_spread_is_kept(paired):
    paired["adt"].X[:, 4] *= 1e-4
    expected = paired["adt"].X[paired["adt"].obs_names.get_indexer(paired.obs_names[TRAIN]), 4].std()
    np.testing.assert_allclose(fit_statistics(dataset_of(paired), TRAIN, 1, 5, seed=0).std[4], expected, rtol=1e-3)


def test_columns_beyond_the_rank_are_zero(paired):
    found = fit_statistics(dataset_of(paired), np.arange(3), 0, 10, seed=0)
    assert found.loadings.shape == (60, 10)
    assert found.loadings[:, :2].any(0).all() and not found.loadings[:, 3:].any()


def test_large_data_are_decomposed_from_a_subset(paired, monkeypatch):
    everyone = fit_statistics(dataset_of(paired), TRAIN, 0, 5, seed=0)
    monkeypatch.setattr(_statistics, "SVD_ENTRIES", 30 * 60)
    subset = fit_statistics(dataset_of(paired), TRAIN, 0, 5, seed=0)
    assert not np.array_equal(subset.loadings, everyone.loadings)
    np.testing.assert_array_equal(subset.mean, everyone.mean)


def test_offsets_of_counts(raw):
    dataset = dataset_of(raw, likelihoods={"rna": "nb", "adt": "bernoulli"})
    counts = dataset[TRAIN].counts
    rates = fit_statistics(dataset, TRAIN, 0, 5, seed=0)
    np.testing.assert_allclose(np.exp(rates.bias).sum(), 1, rtol=1e-5)
    share = (counts[0].sum(0) + 0.5) / (counts[0].sum() + 30)
    np.testing.assert_allclose(np.exp(rates.bias), share, rtol=1e-5)
    assert rates.library == np.median(counts[0].sum(1))
    odds = np.exp(fit_statistics(dataset, TRAIN, 1, 5, seed=0).bias)
    np.testing.assert_allclose(odds / (1 + odds), ((counts[1] > 0).sum(0) + 0.5) / 61, rtol=1e-5)


def test_a_modality_without_training_cells_is_named(mosaic):
    dataset = dataset_of(mosaic)
    without = np.flatnonzero(~dataset.present[:, 1])
    with pytest.raises(ValueError, match="No training cell has the modality 'adt'"):
        fit_statistics(dataset, without, 1, 5, seed=0)
