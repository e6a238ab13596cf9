from itertools import combinations

import numpy as np
import pytest

from scmoe.explain import conflict_table
from scmoe.explain._conflict import cosines, magnitude_similarity

N, LAYERS, E, K, P = 40, 2, 3, 3, 5
NAMES = ["rna", "adt", "atac"]


def gram_of(gradients):
    """Of (n, layers, K, E, P)."""
    return np.einsum("blkep,blmep->blekm", gradients, gradients)


@pytest.fixture
def gradients():
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, LAYERS, K, E, P)) + 0.5 * rng.normal(size=(LAYERS, K, E, P))


@pytest.fixture
def reference():
    rng = np.random.default_rng(1)
    return gram_of(rng.normal(size=(N, LAYERS, K, E, P)) + 1)


def test_against_loops_over_batches(gradients, reference):
    table = conflict_table(gram_of(gradients), reference, NAMES, "token")
    assert len(table) == LAYERS * 3
    for row in table.itertuples():
        pairs = gradients[:, row.layer, NAMES.index(row.first)], gradients[:, row.layer, NAMES.index(row.second)]
        values, similar, by_expert = [], [], []
        for a, b in zip(*pairs, strict=True):
            x, y = np.linalg.norm(a), np.linalg.norm(b)
            values.append((a * b).sum() / (x * y))
            similar.append(2 * x * y / (x**2 + y**2))
            by_expert += [(p @ q) / (np.linalg.norm(p) * np.linalg.norm(q)) for p, q in zip(a, b, strict=True)]
        assert row.cosine == pytest.approx(np.mean(values))
        assert (row.low, row.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
        assert row.conflict_rate == pytest.approx(np.mean(np.array(values) < 0))
        assert row.magnitude_similarity == pytest.approx(np.mean(similar))
        assert row.expert_cosine == pytest.approx(np.mean(by_expert))
        assert (row.definition, row.coactivation, row.n_batches) == ("token", 1, N)


def test_reference_is_that_of_all_pairs(gradients, reference):
    table = conflict_table(gram_of(gradients), reference, NAMES, "token")
    for layer in range(LAYERS):
        whole = reference[:, layer].sum(1)
        values = [g[a, b] / np.sqrt(g[a, a] * g[b, b]) for g in whole for a, b in combinations(range(K), 2)]
        rows = table[table["layer"] == layer]
        np.testing.assert_allclose(rows["reference"], np.mean(values))
        np.testing.assert_allclose(rows["reference_rate"], np.mean(np.array(values) < 0))


@pytest.mark.parametrize(("factor", "cosine", "similarity"), [(1, 1, 1), (-1, -1, 1), (3, 1, 0.6)])
def test_multiples_of_a_gradient(gradients, reference, factor, cosine, similarity):
    gradients[:, :, 1] = factor * gradients[:, :, 0]
    row = conflict_table(gram_of(gradients), reference, NAMES, "target").iloc[0]
    assert row["cosine"] == pytest.approx(cosine)
    assert row["magnitude_similarity"] == pytest.approx(similarity)
    assert row["conflict_rate"] == (factor < 0)


def test_expert_that_one_does_not_reach_has_no_cosine(gradients, reference):
    gradients[:, :, 1] = gradients[:, :, 0]
    gradients[:, :, 0, 0] = 0
    row = conflict_table(gram_of(gradients), reference, NAMES, "target").iloc[0]
    assert row["expert_cosine"] == pytest.approx(1)
    assert row["coactivation"] == pytest.approx(2 / 3)
    assert row["cosine"] < 0.95


def test_experts_of_their_own_are_neither_conflict_nor_agreement(gradients, reference):
    gradients[:, :, 0, 0] = gradients[:, :, 1, 1:] = 0
    gradients[:, :, 0, 1:] += 0.1
    row = conflict_table(gram_of(gradients), reference, NAMES, "target").iloc[0]
    assert (row["cosine"], row["conflict_rate"], row["coactivation"]) == (0, 0, 0)
    assert np.isnan(row["expert_cosine"])


def test_batches_and_pairs_without_a_gradient_are_left_out(gradients, reference):
    gradients[:10, 0, 1] = 0
    gradients[:, 1, 2] = 0
    table = conflict_table(gram_of(gradients), reference, NAMES, "target").set_index(["layer", "first", "second"])
    assert table.loc[(0, "rna", "adt"), "n_batches"] == N - 10
    assert table.loc[1].index.tolist() == [("rna", "adt")]


def test_rounding_leaves_no_direction_to_nothing():
    assert np.isnan(cosines(np.diag([1.0, 1e-26]))[0, 1])
    assert magnitude_similarity(np.eye(2), 0, 1) == 1


@pytest.mark.parametrize(
    ("shape", "reference", "match"),
    [
        ((4, 1, 2, 2, 2), (4, 1, 2, 2, 2), r"found the shape \(4, 1, 2, 2, 2\)"),
        ((4, 1, 2, 3, 3), (3, 1, 2, 2, 2), "reference must have the batches"),
        ((4, 1, 2, 3, 3), (4, 1, 2, 2, 2), "No two of .* have gradients"),
    ],
)
def test_bad_input(shape, reference, match):
    with pytest.raises(ValueError, match=match):
        conflict_table(np.zeros(shape), np.zeros(reference), NAMES, "target")
