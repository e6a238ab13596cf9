from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scmoe.tokens._continuous import ContinuousTokenizer
from scmoe.tokens._counts import read_cells, read_counts
from scmoe.tokens._vocabulary import Vocabulary

COUNTS = np.array([[1, 0, 3], [0, 2, 0], [5, 1, 4]], np.float32)
TO_30000 = 3e4 * COUNTS / COUNTS.sum(1, keepdims=True).clip(1)
"""Normalized to another total than the tokenizers' 1e4."""


def make(values: Any) -> AnnData:
    adata = AnnData(values)
    adata.obs_names, adata.var_names = ["c0", "c1", "c2"], ["CD4", "CD8A", "MS4A1"]
    return adata


def lognormalized(counts: np.ndarray) -> np.ndarray:
    return np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_counts_of_x_and_of_a_layer(convert: Callable) -> None:
    adata = make(convert(COUNTS))
    adata.layers["doubled"] = convert(2 * COUNTS)
    assert (read_counts(adata).toarray() == COUNTS).all()
    assert (read_counts(adata, layer="doubled").toarray() == 2 * COUNTS).all()


def test_fractional_counts_have_to_be_declared() -> None:
    adata = make(sparse.csr_matrix(COUNTS * 0.9))
    with pytest.raises(
        ValueError, match="adata.X must hold raw counts.*found 0.9 for feature 'CD4' in cell 'c0'.*values="
    ):
        read_counts(adata)
    assert (read_counts(adata, values="ambient").toarray() == COUNTS * np.float32(0.9)).all()


def test_logarithms_become_proportions() -> None:
    found = read_counts(make(lognormalized(COUNTS)), values="lognormalized").toarray()
    np.testing.assert_allclose(found, 1e4 * COUNTS / COUNTS.sum(axis=1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("n_genes", [3, 2])
def test_continuous_tokens_of_logarithms_are_these(n_genes: int) -> None:
    values = lognormalized(COUNTS)[:, :n_genes]  # also where genes were left out after normalization
    adata = make(lognormalized(COUNTS))[:, :n_genes].copy()
    cells = read_cells(adata, values="lognormalized")
    tokens = ContinuousTokenizer().transform(cells.counts, cells.totals)
    np.testing.assert_allclose(tokens.value, values[values > 0], rtol=1e-5)


def test_cells_without_counts_are_kept_and_reported(capsys: pytest.CaptureFixture[str]) -> None:
    counts = read_counts(make(COUNTS * np.array([[0], [1], [0]])))
    assert counts.getnnz(axis=1).tolist() == [0, 1, 0]
    assert "2 cells have no counts and get no tokens: c0, c2." in capsys.readouterr().err


def test_read_cells_arranges_and_reports(capsys: pytest.CaptureFixture[str]) -> None:
    cells = read_cells(make(COUNTS), Vocabulary(("MS4A1", "CD4", "CD19")))
    assert cells.counts.toarray().tolist() == [[3, 1, 0], [0, 0, 0], [4, 5, 0]]
    assert cells.totals.tolist() == [4, 2, 10]  # over all genes of the data
    assert cells.match.missing.tolist() == [False, False, True]
    lines = capsys.readouterr().err
    assert "2 of the vocabulary's 3 genes are in the data" in lines
    assert "1 cells have counts of genes outside the vocabulary only and get no tokens: c1." in lines


def test_read_cells_takes_the_genes_of_the_data_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    cells = read_cells(make(COUNTS))
    assert (cells.counts.toarray() == COUNTS).all() and not cells.match.missing.any()
    assert capsys.readouterr().err == ""


def test_read_cells_matches_a_column() -> None:
    adata = make(COUNTS)
    adata.var["ids"] = ["ENSG00000010610.10", "ENSG00000153563", "ENSG00000156738"]
    cells = read_cells(adata, Vocabulary(("ENSG00000010610", "ENSG00000153563")), column="ids")
    assert cells.counts.toarray().tolist() == COUNTS[:, :2].tolist()
    with pytest.raises(KeyError, match=r"no column 'gene_ids'; it has \['ids'\]"):
        read_cells(adata, column="gene_ids")


@pytest.mark.parametrize(
    ("values", "kwargs", "error", "match"),
    [
        (-COUNTS, {}, ValueError, "adata.X must hold raw counts.*found -1 for feature 'CD4' in cell 'c0'"),
        (COUNTS * np.nan, {}, ValueError, "found nan"),
        (
            COUNTS - COUNTS.mean(0),
            {"values": "ambient"},
            ValueError,
            r"must not hold negative.*before that step.*adata\.raw",
        ),
        (COUNTS + np.inf, {"values": "ambient"}, ValueError, "must not hold negative, NaN or infinite"),
        (COUNTS - 1, {"values": "lognormalized"}, ValueError, "must not hold negative.*found -1"),
        (COUNTS * 30, {"values": "lognormalized"}, ValueError, 'at most; found .*highest value 150.*values="counts"'),
        (np.log1p(TO_30000), {"values": "lognormalized"}, ValueError, r"adds up to 10000 at most; found .* 3e\+04"),
        (
            COUNTS,
            {"values": "raw"},
            ValueError,
            "values must be one of 'counts', 'ambient', 'lognormalized'; found 'raw'",
        ),
        (COUNTS, {"layer": "counts"}, KeyError, "no layer 'counts'"),
    ],
)
def test_errors(values: np.ndarray, kwargs: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        read_counts(make(values), **kwargs)


def test_other_objects(raw: MuData) -> None:
    with pytest.raises(TypeError, match=r"found a MuData.*mdata\['rna'\]"):
        read_cells(raw)
    with pytest.raises(ValueError, match="Expected cells and genes, found 0 and 3"):
        read_counts(make(COUNTS)[:0])
    empty = make(COUNTS)
    empty.X = None
    with pytest.raises(ValueError, match=r"adata\.X holds no values"):
        read_counts(empty)


def test_scaled_data_of_scanpy_are_refused_and_their_logarithms_read() -> None:
    """`scanpy.datasets.pbmc68k_reduced` holds scaled values, and ln(1 + x) of some of the genes in `raw`."""
    import scanpy as sc

    adata = sc.datasets.pbmc68k_reduced()
    for values in ("counts", "ambient", "lognormalized"):
        with pytest.raises(ValueError, match=r"adata\.X must"):
            read_counts(adata, values=values)
    raw = adata.raw.to_adata()
    raw.X.sort_indices()
    cells = read_cells(raw, values="lognormalized")
    tokens = ContinuousTokenizer().transform(cells.counts, cells.totals)
    np.testing.assert_allclose(tokens.value, raw.X.data[raw.X.data > 0], rtol=1e-4)


def total(x: np.ndarray, size: float) -> np.ndarray:
    return x / x.sum(1, keepdims=True) * size


MANY = np.random.default_rng(0).poisson(np.random.default_rng(1).lognormal(0, 1, 50), (30, 50)) + (np.arange(50) == 0)


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        (np.minimum(MANY, 4), "lognormalized", "raw counts"),
        (MANY > 2, "lognormalized", "0 and 1 alone"),
        (np.log10(1 + total(MANY, 1e4)), "lognormalized", "logarithms to base 10"),
        (np.log2(1 + total(MANY, 100)), "lognormalized", "logarithms to base 2"),
        (np.log1p(total(MANY, 1e3)), "lognormalized", "logarithms of values that sum to 1000 in each cell"),
        (np.log1p(total(MANY, 1e4)), "ambient", "logarithms of values that sum to 10000"),
        (np.log2(1 + MANY), "ambient", "logarithms to base 2 of counts"),
    ],
)
def test_values_that_were_made_otherwise_are_refused(values: np.ndarray, kind: str, found: str) -> None:
    with pytest.raises(ValueError, match=rf"adata.X must hold .*, as values='{kind}' says; found {found}"):
        read_counts(AnnData(np.asarray(values, dtype=np.float64)), values=kind)


def test_a_choice_of_genes_of_normalized_cells_is_read() -> None:
    values = np.log1p(total(MANY, 1e4))
    for chosen in (values, values[:, ::2], values[:1], values[:1, :5]):
        assert read_counts(AnnData(chosen), values="lognormalized").shape == chosen.shape
