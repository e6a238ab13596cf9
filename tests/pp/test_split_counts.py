"""Counts in two parts that add up to them."""

import numpy as np
import pytest
from mudata import MuData
from scipy import sparse

import scmoe
from scmoe.pp._split_counts import thinned


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else matrix


@pytest.mark.parametrize("is_sparse", [True, False])
def test_parts_of_poisson_counts_are_independent(is_sparse: bool) -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(2.0, (4000, 5)).astype(np.float32)
    rest, part = map(dense, thinned(sparse.csr_matrix(counts) if is_sparse else counts, 0.3, rng))
    np.testing.assert_array_equal(rest + part, counts)
    assert part.mean() == pytest.approx(0.6, rel=0.05) and (rest >= 0).all()
    correlation = [np.corrcoef(rest[:, j], part[:, j])[0, 1] for j in range(5)]
    assert np.abs(correlation).max() < 0.06


def test_split_is_seeded_and_training_needs_prepare(raw: MuData) -> None:
    before = {name: dense(raw[name].X).copy() for name in raw.mod}
    again = raw.copy()
    scmoe.pp.split_counts(raw, seed=3)
    scmoe.pp.split_counts(again, seed=3)
    for name in raw.mod:
        layers = raw[name].layers
        np.testing.assert_array_equal(dense(layers["counts"]) + dense(layers["counts_held_out"]), before[name])
        np.testing.assert_array_equal(dense(layers["counts_held_out"]), dense(again[name].layers["counts_held_out"]))
        np.testing.assert_array_equal(dense(raw[name].X), dense(layers["counts"]))
    with pytest.raises(ValueError, match="prepare"):
        scmoe.model.SCMOE.setup_mudata(raw)


def test_prepared_data_are_split_too(paired: MuData) -> None:
    counts = dense(paired["rna"].layers["counts"]).copy()
    scmoe.pp.split_counts(paired, modality="rna")
    assert "counts_held_out" not in paired["adt"].layers
    scmoe.pp.prepare(paired)
    layers = paired["rna"].layers
    np.testing.assert_array_equal(dense(layers["counts"]) + dense(layers["counts_held_out"]), counts)
    assert dense(paired["rna"].X).max() > 0
    with pytest.raises(ValueError, match="split already"):
        scmoe.pp.split_counts(paired)


def test_values_that_are_no_counts_are_refused(mosaic: MuData) -> None:
    with pytest.raises(ValueError, match="ephys.*raw counts"):
        scmoe.pp.split_counts(mosaic, modality="ephys")
    scmoe.pp.split_counts(mosaic)
    assert "counts_held_out" not in mosaic["ephys"].layers
