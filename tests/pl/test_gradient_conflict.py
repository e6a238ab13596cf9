import numpy as np
import pandas as pd
import pytest

import scmoe.pl
from scmoe.explain import conflict_table


@pytest.fixture
def measured(mdata):
    """Two models with gradients of three modalities in two layers, and of two tasks."""
    rng = np.random.default_rng(0)
    for key in ("scmoe", "dense"):
        for definition, names in (("target", ["rna", "adt", "atac"]), ("task", ["reconstruction", "graph"])):
            made = [rng.normal(size=(10, 2, len(names), 4, 5)) + 0.5 for _ in range(2)]
            grams = [np.einsum("blkep,blmep->blekm", g, g) for g in made]
            table = conflict_table(*grams, names, definition)
            old = mdata.uns.setdefault(key, {}).get("gradient_conflict")
            mdata.uns[key]["gradient_conflict"] = pd.concat([old, table], ignore_index=True)
    return mdata


def rows(mdata, definition, layer, key="scmoe"):
    return mdata.uns[key]["gradient_conflict"].query("definition == @definition and layer == @layer")


def test_map_holds_the_cosines_of_the_pairs(measured):
    ax = scmoe.pl.gradient_conflict(measured)
    drawn = np.asarray(ax.images[0].get_array().filled(np.nan))
    np.testing.assert_allclose(drawn[np.triu_indices(3, k=1)], rows(measured, "target", 1)["cosine"])
    np.testing.assert_array_equal(drawn, drawn.T)
    assert np.isnan(np.diagonal(drawn)).all()


def test_color_bar_marks_the_reference(measured):
    ax = scmoe.pl.gradient_conflict(measured, definition="task", layer=0)
    reference = rows(measured, "task", 0)["reference"].iloc[0]
    bar = ax.figure.axes[-1]
    assert reference == pytest.approx(bar.lines[-1].get_ydata()[0])
    assert f"random cells, {reference:.2f}" in bar.get_ylabel()


def test_models_stand_beside_their_references(measured):
    ax = scmoe.pl.gradient_conflict(measured, key=["scmoe", "dense"])
    drawn = {each.get_label(): each.get_offsets()[:, 0] for each in ax.collections if each.get_label()[0] != "_"}
    for key in ("scmoe", "dense"):
        np.testing.assert_allclose(drawn[key], rows(measured, "target", 1, key)["cosine"])
        np.testing.assert_allclose(drawn[f"{key}, random cells"], rows(measured, "target", 1, key)["reference"])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["rna and adt", "rna and atac", "adt and atac"]


def test_figure_is_saved(measured, tmp_path):
    assert scmoe.pl.gradient_conflict(measured, show=False, save=tmp_path / "a.png") is not None
    assert (tmp_path / "a.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({"definition": "modality"}, ValueError, "definition must be one of"),
        ({"definition": "source"}, KeyError, "no gradients of the definition 'source'; it has 'target', 'task'"),
        ({"key": "other"}, KeyError, r"run scmoe.tl.gradient_conflict\(..., key_added='other'\) first"),
        ({"layer": 2}, KeyError, "no layer 2"),
    ],
)
def test_what_is_not_there(measured, kwargs, error, match):
    with pytest.raises(error, match=match):
        scmoe.pl.gradient_conflict(measured, **kwargs)
