"""Dots and table of markers: what is drawn is what is stored."""

import numpy as np
import pandas as pd
import pytest
from mudata import MuData

import scmoe


@pytest.fixture
def tested(paired: MuData) -> MuData:
    scmoe.tl.markers(paired, groupby="cell_type")
    return paired


def test_dots_are_shares_and_fold_changes(tested: MuData) -> None:
    ax = scmoe.pl.markers(tested, modality="rna", groups=["NK", "B"], n_top=2)
    features = [label.get_text() for label in ax.get_xticklabels()]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["NK", "B"] and len(features) == 4
    table = tested.uns["scmoe"]["markers"].astype({"group": str, "feature": str, "modality": str})
    rows = table[table["modality"] == "rna"].set_index(["group", "feature"])
    dots = ax.collections[0]
    for (x, y), size, change in zip(dots.get_offsets(), dots.get_sizes(), dots.get_array(), strict=True):
        row = rows.loc[(["NK", "B"][int(y)], features[int(x)])]
        assert change == pytest.approx(row["log_fold_change"])
        assert size == pytest.approx(90 * row["detection_in"])


def test_table_lists_the_first_features(tested: MuData) -> None:
    ax = scmoe.pl.markers(tested, modality="adt", kind="table", n_top=1)
    texts = [text.get_text().strip() for text in ax.texts]
    table = tested.uns["scmoe"]["markers"].astype({"group": str, "feature": str, "modality": str})
    for _, own in table[table["modality"] == "adt"].groupby("group"):
        assert own["feature"].iloc[0] in texts and f"{own['auc'].iloc[0]:.2f}" in texts


def test_continuous_values_show_the_auc(mosaic: MuData) -> None:
    scmoe.tl.markers(mosaic, groupby="cell_type", modality="ephys")
    ax = scmoe.pl.markers(mosaic)
    assert np.nanmin(ax.collections[0].get_array()) >= 0 and ax.get_legend() is None
    assert "–" in [text.get_text() for text in scmoe.pl.markers(mosaic, kind="table").texts]


def test_groups_that_have_changed_are_refused(tested: MuData) -> None:
    tested.obs["cell_type"] = pd.Categorical(np.roll(tested.obs["cell_type"].astype(str), 1)[::-1])
    tested.obs.loc[tested.obs_names[:5], "cell_type"] = "B"
    with pytest.raises(ValueError, match=r"Run scmoe\.tl\.markers again"):
        scmoe.pl.markers(tested)


@pytest.mark.parametrize(("kwargs", "match"), [({"modality": "atac"}, "atac"), ({"groups": ["monocyte"]}, "monocyte")])
def test_what_was_not_tested_is_named(tested: MuData, kwargs: dict, match: str) -> None:
    with pytest.raises(KeyError, match=match):
        scmoe.pl.markers(tested, **kwargs)


def test_without_tests_the_tool_is_named(paired: MuData) -> None:
    with pytest.raises(KeyError, match=r"scmoe\.tl\.markers"):
        scmoe.pl.markers(paired)
