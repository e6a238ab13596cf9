import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from mudata import read_h5mu

import scmoe.pl
from scmoe.datasets._write import write
from scmoe.explain import expert_cards_table
from scmoe.explain._correlation import FeatureChunk
from scmoe.io._quiet import quiet_mudata
from scmoe.pl._expert_card import _short


@pytest.fixture
def carded(mdata):
    """A card for each of 3 experts of 2 layers, the last of which nothing uses."""
    rng = np.random.default_rng(0)
    shares = {m: np.zeros((30, 2, 3)) for m in ("rna", "adt")}
    for values in shares.values():
        values[..., :2] = rng.dirichlet(np.ones(2), size=(30, 2))
    values = rng.normal(size=(30, 8))
    values[:, 2] = 4 * shares["rna"][:, 1, 0]
    chunks = [
        FeatureChunk("rna", np.arange(30), values, None),
        FeatureChunk("adt", np.arange(20), values[:20, :5], None),
    ]
    names = {"rna": [f"gene{i}" for i in range(8)], "adt": [f"protein{i}" for i in range(5)]}
    cards = expert_cards_table(shares, chunks, names, mdata.obs["cell_type"], n_permutations=20)
    mdata.uns["scmoe"]["expert_cards"] = cards
    return mdata


def panel(figure, title):
    (found,) = (ax for ax in figure.axes if ax.get_title(loc="left") == title)
    return found


def names(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def test_bars_end_at_the_stored_values(carded):
    figure = scmoe.pl.expert_card(carded, 0)
    cards = carded.uns["scmoe"]["expert_cards"].query("layer == 1 and expert == 0 and modality == 'rna'")
    ax = panel(figure, "rna: features")
    stored = cards[cards["kind"] == "feature"].set_index("name")["value"]
    assert names(ax) == stored.sort_values(ascending=False).index.tolist() and names(ax)[0] == "gene2"
    np.testing.assert_allclose([bar.get_x() + bar.get_width() for bar in ax.patches], stored[names(ax)])
    within = cards[cards["kind"] == "feature within groups"].set_index("name")["value"]
    np.testing.assert_allclose(ax.collections[0].get_offsets()[:, 0], within[names(ax)])
    groups = panel(figure, "rna: groups (cells)")
    assert sorted(names(groups)) == ["B (10)", "NK (10)", "T (10)"]
    np.testing.assert_allclose([bar.get_x() for bar in groups.patches], 0.5)


def test_chance_is_gray_and_driving_feature_is_not(carded):
    bars = panel(scmoe.pl.expert_card(carded, 0), "rna: features").patches
    assert bars[0].get_facecolor() != bars[3].get_facecolor() == pytest.approx((0.75, 0.75, 0.75, 1))


def test_features_come_from_both_ends(carded):
    ax = panel(scmoe.pl.expert_card(carded, 0, n_features=3), "rna: features")
    widths = [bar.get_width() for bar in ax.patches]
    assert len(widths) == 3 and widths[1] > 0 > widths[2]


def test_header_tells_share_and_dead_experts(carded):
    alive, dead = (scmoe.pl.expert_card(carded, expert)._suptitle.get_text() for expert in (0, 2))
    assert alive.startswith("Expert 0 of layer 1: ") and "even share 33.3%" in alive and "dead" not in alive
    assert "0.0% of all tokens" in dead and "dead" in dead


def test_without_groups_features_take_the_page(carded):
    cards = carded.uns["scmoe"]["expert_cards"]
    carded.uns["scmoe"]["expert_cards"] = cards[~cards["kind"].isin(["group", "feature within groups"])]
    figure = scmoe.pl.expert_card(carded, 0)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["", "rna: features", "adt: features"]


def test_is_drawn_from_a_file(carded, tmp_path):
    write(carded, tmp_path / "a.h5mu")
    with quiet_mudata():
        stored = read_h5mu(tmp_path / "a.h5mu")
    assert scmoe.pl.expert_card(stored, 1, layer=0, save=tmp_path / "a.png") is not None
    assert (tmp_path / "a.png").stat().st_size > 0


def test_show_returns_nothing(carded, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    assert scmoe.pl.expert_card(carded, 0, show=True) is None


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"expert": 3}, KeyError, "no expert 3; the table has 3 experts"),
        ({"expert": 0, "layer": 2}, KeyError, "no layer 2"),
        ({"expert": 0, "key": "other"}, KeyError, "run scmoe.tl.expert_cards"),
        ({"expert": 0, "n_features": 0}, ValueError, "n_features must be a whole number of at least 1; found 0"),
    ],
)
def test_bad_arguments(carded, arguments, error, match):
    with pytest.raises(error, match=match):
        scmoe.pl.expert_card(carded, **arguments)


def test_long_names_stay_apart():
    names = ["CD4-positive, alpha-beta memory T cell", "CD4-positive, alpha-beta naive T cell", "B cell"]
    alike = ["CD4-positive, alpha-beta memory T cell", "CD4-positive, alpha-alpha memory T cell"]
    assert list(_short(pd.Series(names))) == ["CD4-positive…memory T cell", "CD4-positive… naive T cell", "B cell"]
    assert list(_short(pd.Series(alike))) == alike
