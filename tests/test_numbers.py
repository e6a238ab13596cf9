"""Numbers that single precision cannot hold, types that overflow, and values that do not differ."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import sparse

import scmoe
from scmoe._matrix import check_digits
from scmoe.io._quiet import quiet_mudata

N = 40


def mudata_of(**values: np.ndarray) -> MuData:
    cells = pd.DataFrame(index=[f"cell{i}" for i in range(N)])
    with quiet_mudata():
        return MuData(
            {
                name: ad.AnnData(x, cells.copy(), pd.DataFrame(index=[f"{name}{i}" for i in range(x.shape[1])]))
                for name, x in values.items()
            }
        )


def counts(n_features: int = 30, seed: int = 0, level: float = 4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.poisson(level * rng.lognormal(0, 1, n_features) * rng.lognormal(0, 0.3, (N, 1)))


def measures(seed: int = 0, n_features: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(N, n_features))


@pytest.mark.parametrize("value", [1e39, -1e39, 1e300, np.float64(np.finfo(np.float32).max)])
def test_values_beyond_single_precision_are_named(value: float) -> None:
    x = measures()
    x[3, 2] = value
    for call in (scmoe.pp.prepare, scmoe.model.SCMOE.setup_mudata):
        with pytest.raises(ValueError, match=r"mdata\['ephys'\]\.X .* up to 1e\+18.*'ephys2' in cell 'cell3'"):
            call(mudata_of(rna=counts(), ephys=x) if call is scmoe.pp.prepare else mudata_of(ephys=x))


def test_counts_beyond_single_precision_are_named() -> None:
    x = counts().astype(float)
    x[3, 2] = 1e300
    mdata = mudata_of(rna=x)
    with pytest.raises(ValueError, match=r"'rna2' in cell 'cell3'"):
        scmoe.pp.prepare(mdata)
    with pytest.raises(ValueError, match=r"raw counts .* found 1e\+300 for feature 'rna2' in cell 'cell3'"):
        scmoe.model.SCMOE.setup_mudata(mdata, likelihoods={"rna": "nb"})


@pytest.mark.parametrize("offset", [1.7e9, -3e12])
def test_an_offset_that_takes_all_digits_is_named(offset: float) -> None:
    x = measures()
    x[:, 4] += offset
    with pytest.raises(ValueError, match=r"'ephys4' varies by too little around .* Subtract that number"):
        scmoe.model.SCMOE.setup_mudata(mudata_of(ephys=x))
    mdata = mudata_of(ephys=measures())
    mdata.obs["time"] = x[:, 4]
    with pytest.raises(ValueError, match=r"mdata.obs\['time'\] varies by too little"):
        scmoe.model.SCMOE.setup_mudata(mdata, continuous_covariate_keys=["time"])


@pytest.mark.parametrize(
    "column",
    [
        np.full(N, 0.1),
        np.full(N, 0.1) * (1 + 1e-16 * np.arange(N)),  # rounding of a constant
        np.full(N, 1.7e9),
        1.7e9 + 1e6 * np.arange(N),  # differences that single precision keeps
        np.where(np.arange(N) % 3, np.nan, 5.0),
    ],
    ids=["constant", "rounding", "large constant", "timestamps", "missing"],
)
def test_constants_and_what_single_precision_holds_are_accepted(column: np.ndarray) -> None:
    check_digits(np.column_stack([measures(), column]), "ephys", "X", [f"e{i}" for i in range(7)])


def test_a_covariate_beyond_single_precision_is_named() -> None:
    mdata = mudata_of(ephys=measures())
    mdata.obs["age"] = np.where(np.arange(N) == 7, 1e300, 30.0)
    with pytest.raises(ValueError, match=r"obs\['age'\] must hold finite numbers.*1e\+300.* in cell 'cell7'"):
        scmoe.model.SCMOE.setup_mudata(mdata, continuous_covariate_keys=["age"])


TYPES = ["bool", "uint8", "int8", "uint16", "int32", "int64", "uint64", "float16", "float32", "float64"]


@pytest.mark.parametrize("kind", ["rna", "protein"])
@pytest.mark.parametrize("dtype", TYPES)
def test_counts_of_any_type_are_prepared_alike(dtype: str, kind: str) -> None:
    x = np.minimum(counts(level=30), 1 if dtype == "bool" else 120)
    expected, mdata = mudata_of(x=x.astype("float64")), mudata_of(x=x.astype(dtype))
    for each in (expected, mdata):
        scmoe.pp.prepare(each, kinds={"x": kind})
    np.testing.assert_allclose(np.asarray(mdata["x"].X), np.asarray(expected["x"].X), rtol=1e-5, atol=1e-6)
    if dtype != "float16":  # which SciPy does not know
        as_sparse = mudata_of(x=sparse.csr_matrix(x.astype(dtype)))
        scmoe.pp.prepare(as_sparse, kinds={"x": kind})
        values = as_sparse["x"].X
        values = values.toarray() if sparse.issparse(values) else values
        np.testing.assert_allclose(values, np.asarray(expected["x"].X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cells", [slice(None), slice(0, 1)], ids=["constant", "one cell"])
@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix])
def test_no_variable_features_are_chosen_where_none_varies(cells: slice, convert, caplog) -> None:
    x = np.full((N, 30), 7.0) if cells == slice(None) else counts().astype(float)
    mdata = mudata_of(rna=convert(x))[cells].copy()
    scmoe.pp.prepare(mdata, n_top_features=10)
    assert "highly_variable" not in mdata["rna"].var and "no feature differs" in caplog.text


@pytest.mark.parametrize("dtype", TYPES)
def test_counts_of_any_type_are_read_alike_by_gene_models(dtype: str) -> None:
    x = np.minimum(counts(), 1 if dtype == "bool" else 100)
    expected = scmoe.tokens.read_counts(mudata_of(rna=x.astype(float))["rna"])
    read = scmoe.tokens.read_counts(mudata_of(rna=x.astype(dtype))["rna"])
    assert (read != expected).nnz == 0


@pytest.mark.parametrize("largest", [2**24 + 1, 2**31 + 5, 2**40])
def test_large_counts_keep_their_shares(largest: int) -> None:
    x = counts().astype(np.int64)
    x[:, 0] = largest
    mdata = mudata_of(rna=sparse.csr_matrix(x))
    scmoe.pp.prepare(mdata)
    np.testing.assert_allclose(np.expm1(mdata["rna"].X.toarray().astype(float)).sum(1), 1e4, rtol=1e-3)


MODALITIES = {
    "constant": np.full((N, 6), 3.0),
    "all zero": np.zeros((N, 6)),
    "some constant": np.where(np.arange(6) < 3, 5.0, measures()),
    "up to 1e17": measures() * 1e17,
    "picofarads": measures() * 1e-12,
    "one large offset": (measures() + np.where(np.arange(6) == 2, 1e5, 0)).astype(np.float32),
}


@pytest.mark.parametrize("name", MODALITIES)
def test_results_are_finite_whatever_the_values(name: str, tl_train) -> None:
    mdata = mudata_of(rna=counts(), ephys=MODALITIES[name])
    mdata.obs["type"] = np.where(np.arange(N) % 2, "a", "b")
    mdata["rna"].X[:3] = 0  # cells of which no count is there
    scmoe.pp.prepare(mdata)
    model = tl_train(mdata, labels_key="type")
    scmoe.tl.embed(mdata, model)
    results = model.get_results(mdata)
    for array in (results.embedding, results.mapping_score, results.annotation.probability):
        assert np.isfinite(array).all()
    mean, sd = model.impute("rna", "ephys", mdata, return_sd=True)
    assert np.isfinite(mean[3:]).all() and np.isfinite(sd[3:]).all() and np.isnan(mean[:3]).all()
    assert np.isfinite(model.get_normalized("ephys", mdata)).all()


def test_small_units_are_no_constants(fit_model) -> None:
    """A capacitance in farads means the same as in picofarads."""
    scores = []
    for unit in (1, 1e-12):
        mdata = mudata_of(rna=counts(), ephys=measures() * unit)
        scmoe.pp.prepare(mdata)
        scores.append(fit_model(mdata).get_latent_representation())
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
@pytest.mark.parametrize(
    "verb",
    [scmoe.tl.cluster, lambda mdata: scmoe.tl.cluster(mdata, n_clusters=3), scmoe.tl.umap],
    ids=["leiden", "kmeans", "umap"],
)
def test_an_embedding_with_other_numbers_is_refused(verb, value: float, contents) -> None:
    mdata = mudata_of(ephys=measures())
    mdata.obsm["X_scmoe"] = measures(1)
    mdata.obsm["X_scmoe"][5, 2] = value
    before = contents(mdata)
    with pytest.raises(ValueError, match=r"obsm\['X_scmoe'\] must hold finite numbers; 1 cells.* 'cell5'.*tl.embed"):
        verb(mdata)
    assert contents(mdata) == before


def test_cells_that_are_all_alike_are_no_three_clusters() -> None:
    mdata = mudata_of(ephys=measures())
    mdata.obsm["X_scmoe"] = np.ones((N, 4))
    with pytest.raises(ValueError, match="1 different places in the embedding, too few for n_clusters=3"):
        scmoe.tl.cluster(mdata, n_clusters=3)
    scmoe.tl.cluster(mdata, n_clusters=1)
    assert mdata.obs["scmoe_cluster"].tolist() == ["0"] * N


def test_coordinates_beyond_all_units_are_refused() -> None:
    mdata = mudata_of(rna=counts())
    mdata["rna"].obsm["spatial"] = measures()[:, :2]
    mdata["rna"].obsm["spatial"][4] = 1e300
    scmoe.pp.prepare(mdata)
    with pytest.raises(ValueError, match=r"must hold finite numbers, up to 1e\+18; 1 cells .* 'cell4'"):
        scmoe.pp.niche(mdata)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "int16"])
def test_coordinates_of_any_type_give_the_same_niche(dtype: str) -> None:
    niches = []
    for convert in (dtype, "float64"):
        mdata = mudata_of(rna=counts())
        mdata["rna"].obsm["spatial"] = np.random.default_rng(0).integers(0, 250, (N, 2)).astype(convert)
        scmoe.pp.prepare(mdata)
        scmoe.pp.niche(mdata)
        niches.append(np.asarray(mdata["rna_niche"].X))
    np.testing.assert_array_equal(*niches)


@pytest.mark.parametrize("side", ["truth", "prediction"])
def test_scores_of_values_whose_squares_are_no_numbers_are_refused(side: str) -> None:
    values = {"truth": measures(), "prediction": measures()}
    values[side][3, 1] = 1e300
    with pytest.raises(ValueError, match=rf"{side} must hold numbers of up to 1e\+140; found 1e\+300 for feature 1"):
        scmoe.metrics.feature_scores(**values)


@pytest.mark.parametrize("unit", [1e-100, 1.0, 1e30, 1e130])
def test_scores_do_not_depend_on_the_unit(unit: float) -> None:
    truth, prediction = measures(), measures() + 0.1 * measures(1)
    expected = scmoe.metrics.feature_scores(truth, prediction)
    scores = scmoe.metrics.feature_scores(unit * truth, unit * prediction)
    np.testing.assert_allclose(scores[["pearson", "r2"]], expected[["pearson", "r2"]], rtol=1e-6)
    np.testing.assert_allclose(scores["rmse"] / unit, expected["rmse"], rtol=1e-6)


@pytest.mark.parametrize("recall", [np.inf, 1e300, -0.1])
def test_a_recall_that_is_no_share_is_refused(recall: float) -> None:
    n_train = {"B": 5, "T": 9, "NK": 20}
    with pytest.raises(ValueError, match="recall must be shares from 0 to 1, or NaN; found .* for 'T'"):
        scmoe.metrics.recall_slope({"B": 0.5, "T": recall, "NK": np.nan}, n_train)


@pytest.mark.parametrize("likelihood", ["nb", "poisson", "bernoulli"])
@pytest.mark.parametrize("largest", [2**24 + 1, 2**31 + 5, 2**40])
def test_models_of_large_counts_are_finite(likelihood: str, largest: int, fit_model) -> None:
    x = counts().astype(np.int64)
    x[::7, 0] = largest
    model = fit_model(mudata_of(rna=sparse.csr_matrix(x)), setup={"likelihoods": {"rna": likelihood}})
    assert np.isfinite(model.get_latent_representation()).all()
    assert np.isfinite(model.get_normalized("rna")).all()


def test_counts_of_a_gene_model_beyond_single_precision_are_refused() -> None:
    x = counts().astype(float)
    x[3, 2] = 1e300
    for values in ("counts", "ambient"):
        with pytest.raises(ValueError, match=r"1e\+300"):
            scmoe.model.XTRIMOGENE.setup_anndata(mudata_of(rna=x)["rna"], values=values)


def test_a_gene_model_of_large_counts_is_finite(fit_genes) -> None:
    x = counts().astype(np.int64)
    x[::7, 0] = 2**40
    adata = mudata_of(rna=sparse.csr_matrix(x))["rna"]
    for network in ({}, {"depth_tokens": True}):
        assert np.isfinite(fit_genes(adata, network=network).get_latent_representation()).all()
