from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scmoe
from scmoe.tl._majority_vote import vote


def slow_vote(labels, groups, reject, min_share):
    """Count, group by group."""
    chosen, shares = [], []
    for group in groups:
        own = [label for label, other in zip(labels, groups, strict=True) if other == group]
        votes = Counter(label for label in own if label != reject)
        best = min(votes, key=lambda label: (-votes[label], label)) if votes and group is not None else None
        share = votes[best] / len(own) if best else 0.0
        chosen.append(best if best and share >= min_share else reject)
        shares.append(np.nan if group is None else share)
    return chosen, shares


@given(
    cells=st.lists(st.tuples(st.sampled_from("ABC?"), st.sampled_from(["0", "1", "2", None])), min_size=1, max_size=40),
    min_share=st.sampled_from([0.0, 0.4, 0.5, 1.0]),
)
def test_votes_are_counts(cells, min_share):
    labels, groups = map(list, zip(*cells, strict=True))
    chosen, share = vote(pd.Series(labels), pd.Series(groups, dtype=object), "?", min_share)
    expected, shares = slow_vote(labels, groups, "?", min_share)
    assert list(chosen) == expected
    np.testing.assert_allclose(share, shares)


def test_labels_of_clusters_stand_beside_those_of_cells(paired, trained, contents, written):
    scmoe.tl.annotate(paired, trained)
    paired.obs["group"] = pd.Categorical(np.where(paired.obs["cell_type"] == "B", "b", "others"))
    before = contents(paired)
    scmoe.tl.majority_vote(paired, groupby="group", min_share=0.8)
    columns = ("scmoe_label_majority", "scmoe_label_majority_share")
    assert written(before, paired) == {f"{part}obs/{name}" for part in ("", "mod/rna/", "mod/adt/") for name in columns}
    of_group = paired.obs.groupby("group", observed=True)["scmoe_label_majority"].unique()
    assert list(of_group["b"]) == ["B"] and list(of_group["others"]) == ["Unknown"]


def test_clusters_are_the_default_and_go_with_the_next_training(paired, tl_train):
    tl_train(paired, labels_key="cell_type")
    scmoe.tl.majority_vote(paired)
    table = pd.crosstab(paired.obs["scmoe_cluster"], paired.obs["scmoe_label_majority"])
    assert ((table > 0).sum(axis=1) == 1).all()
    tl_train(paired)
    assert "scmoe_label_majority" not in paired.obs


def test_what_there_is_nothing_to_vote_on(paired, trained):
    with pytest.raises(KeyError, match=r"run scmoe.tl.annotate"):
        scmoe.tl.majority_vote(paired)
    scmoe.tl.annotate(paired, trained)
    with pytest.raises(KeyError, match="'scmoe_cluster' is not a column"):
        scmoe.tl.majority_vote(paired)
    with pytest.raises(ValueError, match="min_share"):
        scmoe.tl.majority_vote(paired, groupby="batch", min_share=2)
