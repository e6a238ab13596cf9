"""Numbers that single precision cannot hold, types that overflow, and values that do not differ."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import sparse

import scmoe
from scmoe._check import check_digits
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
