"""Covariates of cells: which column means what, and columns that cannot be used."""

import numpy as np
import pandas as pd
import pytest

from scmoe.data._covariates import batches_unknown_to, n_covariates, one_hot, read_covariates
from scmoe.data._dataset import MosaicDataset
from scmoe.data._setup import Setup


def with_columns(mdata):
    mdata.obs["site"] = np.array(["x", "y", "z"])[np.arange(mdata.n_obs) % 3]
    mdata.obs["age"] = np.linspace(20, 80, mdata.n_obs)
    mdata.obs["lane"] = pd.Categorical(np.arange(mdata.n_obs) % 4)
    return mdata


ALL = {
    "batch_key": "batch",
    "categorical_covariate_keys": ["site", "lane"],
    "continuous_covariate_keys": ["age"],
}


def test_each_category_has_a_column_and_each_number_is_one(mosaic):
    setup = Setup.from_mudata(with_columns(mosaic), **ALL)
    found = read_covariates(mosaic, setup)
    assert found.shape == (120, 2 + 3 + 4 + 1) == (120, n_covariates(setup)) and found.dtype == np.float32
    for row, (_, cell) in zip(found, mosaic.obs.iterrows(), strict=True):
        expected = [cell["batch"] == donor for donor in ("donor1", "donor2")]
        expected += [cell["site"] == site for site in "xyz"] + [cell["lane"] == lane for lane in range(4)]
        np.testing.assert_allclose(row, np.array([*expected, cell["age"]], float), rtol=1e-6)


def test_without_keys_all_cells_are_alike(mosaic):
    setup = Setup.from_mudata(mosaic)
    assert n_covariates(setup) == 1 and (read_covariates(mosaic, setup) == 1).all()


def test_an_unknown_category_is_equal_parts_of_the_known_ones(paired):
    setup = Setup.from_mudata(with_columns(paired), **ALL)
    paired.obs["batch"], paired.obs["site"] = "donor9", "w"
    found = read_covariates(paired, setup)
    np.testing.assert_allclose(found[:, :5], np.tile([1 / 2, 1 / 2, 1 / 3, 1 / 3, 1 / 3], (120, 1)), rtol=1e-6)
    np.testing.assert_array_equal(found[:, 5:].argmax(1), read_covariates(paired, setup)[:, 5:].argmax(1))


def test_numbers_of_a_query_are_not_scaled_anew(paired):
    setup = Setup.from_mudata(with_columns(paired), continuous_covariate_keys=["age"])
    paired.obs["age"] = 1000
    assert (read_covariates(paired, setup)[:, -1] == 1000).all()


def test_whole_numbers_and_text_that_is_a_number_count_as_numbers(paired):
    paired.obs["days"] = pd.Categorical([str(i % 7) for i in range(120)])
    setup = Setup.from_mudata(paired, continuous_covariate_keys=["days"])
    np.testing.assert_array_equal(read_covariates(paired, setup)[:, -1], np.arange(120) % 7)


def test_cells_are_read_with_their_covariates(mosaic):
    setup = Setup.from_mudata(with_columns(mosaic), **ALL)
    dataset, cells = MosaicDataset(mosaic, setup), np.array([5, 3, 100])
    np.testing.assert_array_equal(dataset[cells].covariates, read_covariates(mosaic, setup)[cells])


def test_an_unknown_code_is_equal_parts():
    assert one_hot(np.array([1, -1]), 2).tolist() == [[0, 1], [0.5, 0.5]]


def text(obs):
    obs["age"] = "old"


def infinite(obs):
    obs["age"] = np.where(np.arange(120) == 3, np.inf, 1.0)


def missing(obs):
    obs["age"] = np.where(np.arange(120) == 3, np.nan, 1.0)


def missing_site(obs):
    obs["site"] = pd.Series(["x", None] * 60, index=obs.index)


def nothing(obs):
    pass


@pytest.mark.parametrize(
    ("change", "arguments", "error", "match"),
    [
        (
            text,
            {},
            ValueError,
            r"mdata\.obs\['age'\] must hold finite numbers.*'old' in cell 'cell0'.*categorical_covar",
        ),
        (infinite, {}, ValueError, "must hold finite numbers.*'inf' in cell 'cell3'"),
        (missing, {}, ValueError, r"mdata\.obs\['age'\] must have an entry for every cell; 1 cells have none.*'cell3'"),
        (missing_site, {}, ValueError, r"mdata\.obs\['site'\] must have an entry for every cell; 60 cells have none"),
        (
            nothing,
            {"continuous_covariate_keys": ["weight"]},
            KeyError,
            "continuous_covariate_keys='weight' is not a column",
        ),
        (nothing, {"categorical_covariate_keys": ["weight"]}, KeyError, "categorical_covariate_keys='weight' is not a"),
    ],
)
def test_a_column_that_cannot_be_used_is_refused(paired, change, arguments, error, match):
    change(with_columns(paired).obs)
    with pytest.raises(error, match=match):
        Setup.from_mudata(paired, **{**ALL, **arguments})


@pytest.mark.parametrize(("column", "block"), [("batch", slice(0, 2)), ("site", slice(2, 5)), ("lane", slice(5, 9))])
def test_a_category_that_a_query_lacks_is_an_unknown_one(paired, column, block):
    setup = Setup.from_mudata(with_columns(paired), **ALL)
    before = MosaicDataset(paired, setup).covariates
    gaps, absent = paired.copy(), paired.copy()
    gaps.obs[column] = gaps.obs[column].astype(object).where(np.arange(120) % 2 == 0, None)
    del absent.obs[column]
    unknown = np.full((120, block.stop - block.start), 1 / (block.stop - block.start))
    expected = before.copy()
    expected[:, block] = unknown
    np.testing.assert_allclose(MosaicDataset(absent, setup).covariates, expected, rtol=1e-6)
    expected[::2] = before[::2]
    np.testing.assert_allclose(MosaicDataset(gaps, setup).covariates, expected, rtol=1e-6)


def test_a_number_that_a_query_lacks_is_an_error(paired):
    setup = Setup.from_mudata(with_columns(paired), **ALL)
    del paired.obs["age"]
    with pytest.raises(KeyError, match=r"the number 'age' of each cell .*continuous.*Add it"):
        MosaicDataset(paired, setup)


@pytest.mark.parametrize("dtype", ["int64", "float64", "Int64", "category", str, "1.0"])
def test_numbers_are_the_same_batch_in_every_type(paired, dtype):
    numbers = pd.Series(np.arange(120) % 3, index=paired.obs_names)
    paired.obs["batch"] = numbers.astype("category")
    setup = Setup.from_mudata(paired, batch_key="batch")
    assert setup.batches == ["0", "1", "2"]
    paired.obs["batch"] = numbers.astype("float64").astype(str) if dtype == "1.0" else numbers.astype(dtype)
    np.testing.assert_array_equal(read_covariates(paired, setup).argmax(1), np.arange(120) % 3)
    assert batches_unknown_to(setup, paired) == []
