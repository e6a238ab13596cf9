"""Statistics of the training cells against NumPy on dense data."""

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scmoe.data._dataset import MosaicDataset
from scmoe.data._setup import Setup
from scmoe.data.sparse._rows import SparseRows
from scmoe.data.statistics import _statistics
from scmoe.data.statistics._correction import offset
from scmoe.data.statistics._statistics import Statistics, component_scores, fit_scale, fit_statistics, scale
from scmoe.nn._standardizer import Standardizer

TRAIN = np.arange(0, 120, 2)


def dataset_of(mdata, **arguments):
    return MosaicDataset(mdata, Setup.from_mudata(mdata, **arguments))


def fit(dataset: MosaicDataset, v: int, n_components: int = 5, cells: np.ndarray = TRAIN) -> Statistics:
    return fit_statistics(dataset, cells, v, n_components, fit_scale(dataset, cells), seed=0)


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
    found, values = fit(dataset, v), values_of(dataset, TRAIN, v)
    np.testing.assert_allclose(found.mean, np.nanmean(values, 0), rtol=1e-5, atol=1e-6)
    spread = np.nanstd(values, 0)
    np.testing.assert_allclose(found.std, np.where(spread == 0, 1, spread), rtol=1e-4)


def standardized(dataset, v):
    values = values_of(dataset, TRAIN, v)
    return np.nan_to_num((values - np.nanmean(values, 0)) / np.nanstd(values, 0))


def test_decoding_programs_are_the_leading_singular_vectors(mosaic):
    dataset = dataset_of(mosaic)
    z = standardized(dataset, 2)
    _, singular, right = np.linalg.svd(z, full_matrices=False)
    found = fit(dataset, 2, n_components=3).decode
    cosine = (found.loadings * right[:3].T).sum(0)
    np.testing.assert_allclose(np.abs(cosine), 1, atol=1e-4)
    np.testing.assert_allclose(found.unit, (z @ right[:3].T).std(ddof=0), rtol=1e-2)
    np.testing.assert_allclose(found.unit, np.sqrt((singular[:3] ** 2).sum() / (len(z) * 3)), rtol=1e-4)


def test_reading_programs_weigh_features_of_one_unit_by_their_variance(paired):
    dataset = dataset_of(paired)
    values = values_of(dataset, TRAIN, 0)
    left, singular, _ = np.linalg.svd(values - values.mean(0), full_matrices=False)
    found = fit(dataset, 0, n_components=2)
    scores = component_scores(dataset, TRAIN, 0, found, fit_scale(dataset, TRAIN)) * np.sqrt(
        np.square(values.std(0)).mean()
    )
    expected = left[:, :2] * singular[:2]
    np.testing.assert_allclose(scores @ scores.T, expected @ expected.T, atol=1e-3 * singular[0] ** 2)
    assert found.read.unit == pytest.approx(
        np.square(component_scores(dataset, TRAIN, 0, found, fit_scale(dataset, TRAIN))).mean() ** 0.5, rel=1e-3
    )


def test_features_without_a_common_unit_count_equally(mosaic):
    found = fit(dataset_of(mosaic), 2)
    np.testing.assert_array_equal(found.read.loadings, found.decode.loadings)


def test_penalty_is_what_is_left_over_what_a_program_explains(mosaic):
    dataset = dataset_of(mosaic)
    z = standardized(dataset, 2)
    variance = np.sort(np.linalg.eigvalsh(z.T @ z / len(z)))[::-1]
    np.testing.assert_allclose(
        fit(dataset, 2, n_components=3).decode.penalty, variance[2:].mean() / variance[:3], rtol=1e-3
    )


def test_numbers_among_the_covariates_are_standardized_and_others_are_not(paired):
    paired.obs["age"] = np.linspace(20, 80, 120)
    dataset = dataset_of(paired, batch_key="batch", continuous_covariate_keys=["age"])
    found = scale(dataset.covariates, fit_scale(dataset, TRAIN))
    np.testing.assert_array_equal(found[:, :2], dataset.covariates[:, :2])
    age = paired.obs["age"].to_numpy()
    np.testing.assert_allclose(found[:, 2], (age - age[TRAIN].mean()) / age[TRAIN].std(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 2020.3, 1e6])
def test_a_number_that_is_the_same_in_all_cells_is_zero(paired, value):
    paired.obs["year"] = value
    dataset = dataset_of(paired, continuous_covariate_keys=["year"])
    np.testing.assert_allclose(scale(dataset.covariates, fit_scale(dataset, TRAIN))[:, -1], 0, atol=1e-3)


def test_scores_are_corrected_only_where_there_are_covariates(paired):
    dataset, cells = dataset_of(paired), np.arange(90)
    assert fit(dataset, 0, cells=cells).correction is None
    scores = component_scores(dataset, cells, 0, fit(dataset, 0, cells=cells), fit_scale(dataset, cells))
    dataset = dataset_of(paired, batch_key="batch")
    found = fit(dataset, 0, cells=cells)
    shift = offset(torch.from_numpy(scores), torch.from_numpy(dataset.covariates[cells]), found.correction).numpy()
    assert np.abs(shift).max() > 0.01
    corrected = component_scores(dataset, cells, 0, found, fit_scale(dataset, cells))
    np.testing.assert_allclose(corrected, scores - shift, rtol=1e-5, atol=1e-5)


def test_a_correction_is_fitted_on_a_sample_of_large_data(paired, monkeypatch):
    dataset = dataset_of(paired, batch_key="batch")
    everyone = fit(dataset, 0, cells=np.arange(90)).correction
    monkeypatch.setattr(_statistics, "MAX_CORRECTED", 40)
    assert not torch.equal(everyone.shifts, fit(dataset, 0, cells=np.arange(90)).correction.shifts)


def test_missing_values_are_read_as_the_network_fills_them(paired):
    paired = paired.copy()
    values = np.array(paired["rna"].to_df(), np.float32)
    values[::3, ::2] = np.nan
    paired["rna"].X = values
    dataset = dataset_of(paired)
    found = fit(dataset, 0)
    network = Standardizer(len(found.mean), found.decode.loadings.shape[1])
    for name, array in (
        ("mean", found.mean),
        ("std", found.std),
        ("loadings", found.decode.loadings),
        ("penalty", found.decode.penalty),
    ):
        network.get_buffer(name).copy_(torch.from_numpy(array))
    batch = dataset[TRAIN]
    z = network(batch.values[0], batch.observed[0]).numpy()
    np.testing.assert_allclose(
        component_scores(dataset, TRAIN, 0, found, fit_scale(dataset, TRAIN)),
        z @ found.read.loadings,
        rtol=1e-4,
        atol=1e-4,
    )


def numbers_in(found):
    """All arrays of statistics, one after the other."""
    parts = [*found.read, *found.decode, found.mean, found.std, *found.correction, found.bias, found.library]
    return [np.asarray(part) for part in parts]


def test_no_other_cell_is_looked_at(paired):
    arguments = {"likelihoods": {"rna": "nb"}, "batch_key": "batch"}
    expected = [fit(dataset_of(paired, **arguments), v) for v in (0, 1)]
    paired["rna"].layers["counts"] = paired["rna"].layers["counts"].toarray()
    for name, values in (("rna", paired["rna"].layers["counts"]), ("adt", paired["adt"].X)):
        others = ~paired[name].obs_names.isin(paired.obs_names[TRAIN])
        values[others] = 13
    found = [fit(dataset_of(paired, **arguments), v) for v in (0, 1)]
    for before, after in zip(expected, found, strict=True):
        for a, b in zip(numbers_in(before), numbers_in(after), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("constant", [0.0, 3.7, -1e6])
def test_a_constant_feature_gets_spread_one(paired, constant):
    paired["adt"].X[:, 4] = constant
    found = fit(dataset_of(paired), 1)
    assert found.std[4] == 1
    assert np.abs(found.read.loadings[4]).max() < 1e-3 and np.abs(found.decode.loadings[4]).max() < 1e-3


def test_a_small_but_real_spread_is_kept(paired):
    paired["adt"].X[:, 4] *= 1e-4
    expected = paired["adt"].X[paired["adt"].obs_names.get_indexer(paired.obs_names[TRAIN]), 4].std()
    np.testing.assert_allclose(fit(dataset_of(paired), 1).std[4], expected, rtol=1e-3)


def test_columns_beyond_the_rank_are_zero(paired):
    statistics = fit(dataset_of(paired), 0, n_components=10, cells=np.arange(3))
    for found in (statistics.read, statistics.decode):
        assert found.loadings.shape == (60, 10) and found.penalty.shape == (10,)
        assert found.loadings[:, :2].any(0).all() and not found.loadings[:, 3:].any()


def test_large_data_are_decomposed_from_a_subset(paired, monkeypatch):
    everyone = fit(dataset_of(paired), 0)
    monkeypatch.setattr(_statistics, "SVD_ENTRIES", 30 * 60)
    subset = fit(dataset_of(paired), 0)
    assert not np.array_equal(subset.read.loadings, everyone.read.loadings)
    np.testing.assert_array_equal(subset.mean, everyone.mean)


def test_offsets_of_counts(raw):
    dataset = dataset_of(raw, likelihoods={"rna": "nb", "adt": "bernoulli"})
    counts = dataset[TRAIN].counts
    rates = fit(dataset, 0)
    np.testing.assert_allclose(np.exp(rates.bias).sum(), 1, rtol=1e-5)
    share = (counts[0].sum(0) + 0.5) / (counts[0].sum() + 30)
    np.testing.assert_allclose(np.exp(rates.bias), share, rtol=1e-5)
    assert rates.library == np.median(counts[0].sum(1))
    odds = np.exp(fit(dataset, 1).bias)
    np.testing.assert_allclose(odds / (1 + odds), ((counts[1] > 0).sum(0) + 0.5) / 61, rtol=1e-5)


def test_a_modality_without_training_cells_is_named(mosaic):
    dataset = dataset_of(mosaic)
    without = np.flatnonzero(~dataset.present[:, 1])
    with pytest.raises(ValueError, match="No training cell has a value of the modality 'adt'"):
        fit(dataset, 1, cells=without)


def test_sparse_values_have_the_statistics_of_dense_ones():
    rng = np.random.default_rng(0)
    factors = rng.gamma(1, size=(200, 3)) @ rng.gamma(0.2, size=(3, 40))
    values = np.log1p(rng.poisson(factors * 0.3)).astype(np.float32)

    def fitted(x):
        adata = AnnData(x, obs=pd.DataFrame(index=[f"c{i}" for i in range(200)]))
        dataset = dataset_of(MuData({"x": adata}), likelihoods={"x": "gaussian"})
        return fit(dataset, 0, n_components=3, cells=np.arange(0, 200, 2)), dataset

    (of_sparse, dataset), (of_dense, _) = fitted(sparse.csr_matrix(values)), fitted(values)
    assert isinstance(dataset.read_modality(0, np.arange(5), sparse=True).values, SparseRows)
    np.testing.assert_allclose(of_sparse.mean, of_dense.mean, rtol=1e-5)
    np.testing.assert_allclose(of_sparse.std, of_dense.std, rtol=1e-5)
    for own, other in ((of_sparse.read, of_dense.read), (of_sparse.decode, of_dense.decode)):
        cosine = (own.loadings * other.loadings).sum(0) / np.square(other.loadings).sum(0)
        np.testing.assert_allclose(np.abs(cosine), 1, rtol=1e-3)
        assert own.unit == pytest.approx(other.unit, rel=1e-4)
        np.testing.assert_allclose(own.penalty, other.penalty, rtol=1e-3)


def test_features_without_variance_and_few_cells_of_sparse_values():
    x = sparse.csr_matrix((np.ones(4, np.float32), ([0, 0, 1, 2], [0, 1, 0, 0])), shape=(60, 30))
    adata = AnnData(x, obs=pd.DataFrame(index=[f"c{i}" for i in range(60)]))
    dataset = dataset_of(MuData({"x": adata}), likelihoods={"x": "gaussian"})
    found = fit(dataset, 0, n_components=5, cells=np.arange(3))
    assert all(np.isfinite(part).all() for part in (found.mean, found.std, found.read.loadings, found.read.penalty))
