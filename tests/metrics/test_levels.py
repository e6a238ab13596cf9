"""Trees of labels, against slow walks from node to node."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scmoe.metrics import level_accuracy
from scmoe.metrics._hierarchy import levels_of, parents_of
from scmoe.metrics._wilson import wilson_interval
from scmoe.readout._hierarchy import roll_up

TABLE = pd.DataFrame(
    [["lymphoid", "T", "CD4"], ["lymphoid", "T", "CD8"], ["lymphoid", "B", "B"], ["myeloid", None, "Mono"]],
    columns=["lineage", "kind", "type"],
)
LABELS = ["CD4", "CD8", "B", "Mono"]


def test_a_table_is_a_tree():
    assert parents_of(TABLE) == {"T": "lymphoid", "B": "lymphoid", "CD4": "T", "CD8": "T"}
    assert levels_of(LABELS, TABLE) == {
        **dict.fromkeys(["CD4", "CD8", "B", "Mono"], "type"), "T": "kind", "lymphoid": "lineage"
    }  # fmt: skip
    assert levels_of(["CD4", "B"], {"CD4": "T", "T": "all", "B": "all"}) == {"CD4": "0", "B": "0", "T": "1", "all": "2"}


def test_names_with_two_parents_are_refused():
    table = pd.DataFrame({"lineage": ["a", "b"], "type": ["x", "x"]})
    with pytest.raises(ValueError, match=r"must be a tree: 'x' \(type\) is in 'a' and 'b' \(lineage\)"):
        parents_of(table)


@st.composite
def cells(draw):
    """A tree of two levels over 5 labels, probabilities and true labels."""
    kind = [f"k{draw(st.integers(0, 2))}" for _ in range(5)]
    lineage = {f"k{i}": f"l{draw(st.integers(0, 1))}" for i in range(3)}
    labels = [f"t{i}" for i in range(5)]
    table = pd.DataFrame({"lineage": [lineage[name] for name in kind], "kind": kind, "type": labels})
    n = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    return table, labels, rng.dirichlet(np.full(5, 0.3), n), rng.integers(5, size=n)


@given(cells())
def test_against_slow_sums_and_counts(drawn):
    table, labels, probability, truth = drawn
    up = {level: dict(zip(table["type"], table[level], strict=True)) for level in table}
    codes, confidence, names = roll_up(probability, labels, table, 0.8)
    rolled = [None if code < 0 else names[code] for code in codes]
    levels = ["type", "kind", "lineage"]
    for cell, name in enumerate(rolled):
        expected = None
        for level in levels[::-1]:
            sums = dict.fromkeys(up[level].values(), 0.0)
            for label, p in zip(labels, probability[cell], strict=True):
                sums[up[level][label]] += p
            best = max(sums, key=sums.get)
            if sums[best] >= 0.8 - 1e-6:
                expected = best
                assert name != best or confidence[cell] == pytest.approx(sums[best])
        assert name == expected
    result = level_accuracy(
        np.array(labels)[truth], [name or "Unknown" for name in rolled], confidence, hierarchy=table, labels=labels
    )
    assert list(result.index) == levels
    for i, level in enumerate(levels):
        finer = {name: each for each in levels[: i + 1] for name in up[each].values()}
        named = [name in finer for name in rolled]
        right = n = 0
        for name, code in zip(rolled, truth, strict=True):
            if name in finer:
                n += 1
                leaf = next(label for label in labels if up[finer[name]][label] == name)
                right += up[level][leaf] == up[level][labels[code]]
        assert result.loc[level, "coverage"] == pytest.approx(np.mean(named))
        assert result.loc[level, "accuracy"] == pytest.approx(right / n if n else np.nan, nan_ok=True)
        np.testing.assert_allclose(
            result.loc[level, ["accuracy_low", "accuracy_high"]].astype(float), wilson_interval(right, n)
        )
        own = [name in up[level].values() for name in rolled]
        assert result.loc[level, "n_named"] == sum(own)


@pytest.mark.parametrize(
    ("truth", "names", "confidence", "match"),
    [
        (["CD4", "NK"], ["T", "T"], [1, 1], "truth has 'NK', which is none of labels"),
        (["CD4"], ["T", "T"], [1, 1], "of the same cells; found 1, 2 and 2"),
    ],
)
def test_refuses(truth, names, confidence, match):
    with pytest.raises(ValueError, match=match):
        level_accuracy(truth, names, confidence, hierarchy=TABLE, labels=LABELS)
