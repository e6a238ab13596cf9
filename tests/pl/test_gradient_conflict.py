import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

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


def drawn(ax):
    """Of each series, its dots (n, 2) and the ends of its lines (n, 2)."""
    dots = {each.get_label(): np.asarray(each.get_offsets()) for each in ax.collections if each.get_label()[0] != "_"}
    lines = [each for each in ax.collections if isinstance(each, LineCollection)]
    ends = [np.array([segment[:, 0] for segment in each.get_segments()]) for each in lines]
    return {name: (xy, end) for (name, xy), end in zip(dots.items(), ends, strict=True)}


def test_of_one_model_each_pair_has_its_cosine_beside_that_of_random_cells(measured):
    ax = scmoe.pl.gradient_conflict(measured, definition="task", layer=0)
    table = rows(measured, "task", 0)
    for name, prefix, column in (("gradients", "", "cosine"), ("random cells", "reference_", "reference")):
        dots, ends = drawn(ax)[name]
        np.testing.assert_allclose(dots[:, 0], table[column])
        np.testing.assert_allclose(ends, table[[f"{prefix}low", f"{prefix}high"]])
    assert "95 % of 10 batches" in ax.get_xlabel()


def test_models_stand_beside_their_references(measured):
    ax = scmoe.pl.gradient_conflict(measured, key=["scmoe", "dense"])
    dots = {name: xy[:, 0] for name, (xy, _) in drawn(ax).items()}
    for key in ("scmoe", "dense"):
        np.testing.assert_allclose(dots[key], rows(measured, "target", 1, key)["cosine"])
        np.testing.assert_allclose(dots[f"{key}, random cells"], rows(measured, "target", 1, key)["reference"])
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
