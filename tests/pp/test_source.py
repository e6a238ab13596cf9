"""Where counts are looked for, and what of a replaced ``X`` is kept."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from scmoe.pp._source import find_source, holds_counts, keep_original

COUNTS = np.random.default_rng(0).poisson(2.0, (30, 8)).astype(np.float32)
LOGGED = np.log1p(COUNTS)
SCALED = (LOGGED - LOGGED.mean(0)) / LOGGED.std(0)
GENES = [f"g{i}" for i in range(8)]


def make(x: np.ndarray, **layers: np.ndarray) -> ad.AnnData:
    cells = pd.DataFrame(index=[f"c{i}" for i in range(x.shape[0])])
    return ad.AnnData(x.copy(), obs=cells, var=pd.DataFrame(index=GENES[: x.shape[1]]), layers=layers)


def with_raw(x: np.ndarray, raw: np.ndarray) -> ad.AnnData:
    """``raw`` has the features in reverse order, and may have more."""
    adata = make(x)
    other = make(raw)[:, ::-1].copy()
    adata.raw = other
    return adata


def test_the_layer_of_counts_comes_first():
    source = find_source("rna", make(COUNTS + 1, counts=COUNTS))
    assert source.where == "layers['counts']" and not source.is_x
    np.testing.assert_array_equal(source.matrix, COUNTS)


def test_counts_in_x_come_before_others():
    source = find_source("rna", make(COUNTS, raw_counts=COUNTS + 1))
    assert source.where == "X" and source.is_x and source.counts_are_in == ""


@pytest.mark.parametrize("layer", ["raw_counts", "Counts", "raw", "UMI"])
def test_layers_by_the_names_that_people_use(layer):
    source = find_source("rna", make(SCALED, **{layer: COUNTS}))
    assert source.where == f"layers['{layer}']"
    assert source.counts_are_in == f"rna: X holds no counts; those in layers['{layer}'] are used"
    np.testing.assert_array_equal(source.matrix, COUNTS)


@pytest.mark.parametrize(("layer", "values"), [("raw_counts", LOGGED), ("spliced", COUNTS)])
def test_other_layers_are_not_guessed(layer, values):
    assert find_source("rna", make(SCALED, **{layer: values})).is_x


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_counts_in_raw_are_brought_into_the_order_of_x(form):
    adata = with_raw(SCALED, COUNTS)
    adata.raw = ad.AnnData(form(adata.raw.X), obs=adata.obs, var=adata.raw.var)
    source = find_source("rna", adata)
    assert source.where == "raw.X"
    matrix = source.matrix.toarray() if sparse.issparse(source.matrix) else source.matrix
    np.testing.assert_array_equal(matrix, COUNTS)


def test_raw_may_have_more_features_and_not_fewer():
    more = with_raw(SCALED[:, :5], COUNTS)
    source = find_source("rna", more)
    np.testing.assert_array_equal(source.matrix, COUNTS[:, :5])
    assert "for the 5 of its 8 features that X has" in source.counts_are_in
    fewer = with_raw(SCALED, COUNTS[:, :5])
    assert find_source("rna", fewer).is_x


def test_a_raw_of_logged_values_is_no_source():
    source = find_source("rna", with_raw(SCALED, LOGGED))
    assert source.is_x
    np.testing.assert_array_equal(source.matrix, SCALED)


@given(st.integers(0, 3), st.booleans(), st.floats(0, 0.9))
def test_missing_counts_are_counts(seed, as_sparse, share):
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(COUNTS.shape) < share, np.nan, COUNTS)
    values[0, 0] = 5
    matrix = sparse.csr_matrix(values) if as_sparse else values
    assert holds_counts(matrix)
    values[0, 0] = 0.5
    assert not holds_counts(sparse.csr_matrix(values) if as_sparse else values)


def test_neither_text_nor_booleans_are_counts():
    assert not holds_counts(np.array([["a"]])) and not holds_counts(COUNTS > 1) and not holds_counts(None)


def test_an_x_that_would_be_lost_is_kept_once(capsys):
    adata = make(SCALED, counts=COUNTS)
    keep_original("rna", adata, find_source("rna", adata), LOGGED)
    np.testing.assert_array_equal(adata.layers["X_before_prepare"], SCALED)
    assert "rna: X is replaced by values made from layers['counts']; the former X is in" in capsys.readouterr().err
    adata.X = SCALED + 1
    keep_original("rna", adata, find_source("rna", adata), LOGGED)
    np.testing.assert_array_equal(adata.layers["X_before_prepare"], SCALED)
    assert "the former X is not kept" in capsys.readouterr().err


@pytest.mark.parametrize("x", [COUNTS, LOGGED, sparse.csr_matrix(LOGGED)], ids=["counts", "values", "sparse values"])
def test_an_x_that_is_not_lost_is_not_kept(capsys, x):
    adata = make(x, counts=COUNTS)
    keep_original("rna", adata, find_source("rna", adata), LOGGED)
    assert "X_before_prepare" not in adata.layers
    assert capsys.readouterr().err == ""
