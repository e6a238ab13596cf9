import numpy as np
import pandas as pd
import pytest

import scmoe.pl
from scmoe.explain import attribution_table, deletion_table
from scmoe.explain._attribution import modality_shares

TARGETS = {"NK": "log-odds", "CD3": "prediction of adt"}


@pytest.fixture
def attributed(mdata):
    rng = np.random.default_rng(0)
    names = {"rna": [f"g{i}" for i in range(8)], "adt": ["CD3", "CD4"]}
    tables, summaries, curves, areas = [], [], [], []
    for target, unit in TARGETS.items():
        signed = {m: rng.normal(size=len(features)) for m, features in names.items()}
        size = {m: np.abs(values) for m, values in signed.items()}
        slope = {m: -values for m, values in signed.items()}
        level = {m: rng.normal(size=len(features)) for m, features in names.items()}
        tables.append(attribution_table(signed, size, slope, names, level=level).assign(target=target))
        summaries.append(modality_shares(signed, size).assign(target=target, unit=unit, n_cells=20))
        for part, into in zip(
            deletion_table(rng.normal(size=(9, 3, 4)), ["attribution", "correlation", "random"], [0, 0.1, 0.2, 0.4]),
            (curves, areas),
            strict=True,
        ):
            into.append(part.assign(target=target, unit=unit))
    frames = zip(
        ("attribution", "attribution_summary", "deletion", "deletion_summary"),
        (tables, summaries, curves, areas),
        strict=True,
    )
    mdata.uns["scmoe"] |= {key: pd.concat(parts, ignore_index=True) for key, parts in frames}
    return mdata


def bars(ax):
    return [bar.get_width() for bar in ax.patches]


def test_bars_are_attributions_of_labels_and_slopes_of_features(attributed):
    figure = scmoe.pl.attribution(attributed, n_top=5)
    label, feature = figure.axes[:2]
    table = attributed.uns["scmoe"]["attribution"]
    expected = table.query("target == 'NK'")["attribution"]
    assert bars(label) == expected.iloc[expected.abs().argsort()[::-1]].head(5).tolist()
    assert bars(feature) == table.query("target == 'CD3'")["slope"].head(5).tolist()
    assert "rna" in label.get_title(loc="left") and "n = 20" in label.get_title(loc="left")
    first = expected.abs().idxmax()
    assert label.get_yticklabels()[0].get_text() == "{feature} · {modality}".format(**table.loc[first])


def test_colors_say_whether_a_feature_is_high_or_low(attributed):
    label, feature = scmoe.pl.attribution(attributed, n_top=10).axes[:2]
    table = attributed.uns["scmoe"]["attribution"].query("target == 'NK'")
    level = table["level"].iloc[table["attribution"].abs().argsort()[::-1]].clip(-2, 2)
    red_over_blue = [bar.get_facecolor()[0] - bar.get_facecolor()[2] for bar in label.patches]
    np.testing.assert_array_equal(np.sign(np.round(red_over_blue, 1)), np.sign(np.round(level / 2, 1)))
    assert len({bar.get_facecolor() for bar in feature.patches}) == 1
    assert "standard deviations" in label.figure.axes[-1].get_xlabel()


def test_tables_of_earlier_versions_are_gray(attributed):
    del attributed.uns["scmoe"]["attribution"]["level"]
    label = scmoe.pl.attribution(attributed, "NK").axes[0]
    assert {bar.get_facecolor() for bar in label.patches} == {(0.6, 0.6, 0.6, 1.0)}


def test_the_figure_says_of_how_many_targets_it_shows_the_first(attributed):
    stored = attributed.uns["scmoe"]
    for name in ("attribution", "attribution_summary"):
        one = stored[name][stored[name]["target"] == "NK"]
        stored[name] = pd.concat([one.assign(target=f"type {i}") for i in range(14)])
    figure = scmoe.pl.attribution(attributed)
    assert sum(bool(ax.patches) for ax in figure.axes) >= 12 and figure.get_suptitle() == "The first 12 of 14 targets"
    assert not scmoe.pl.attribution(attributed, ["type 13"]).get_suptitle()


def test_deletion_draws_the_mean_of_the_targets_or_one(attributed):
    ax = scmoe.pl.deletion(attributed)
    curve = attributed.uns["scmoe"]["deletion"].query("ranking == 'attribution'")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), curve.groupby("share")["drop"].mean())
    assert ax.get_ylabel() == "fall of the target"  # of two units
    ax = scmoe.pl.deletion(attributed, "NK")
    assert ax.get_ylabel() == "fall of log-odds"
    np.testing.assert_allclose(ax.lines[0].get_ydata(), curve.query("target == 'NK'")["drop"])


@pytest.mark.parametrize("draw", [scmoe.pl.attribution, scmoe.pl.deletion])
def test_bad_arguments(attributed, draw):
    with pytest.raises(KeyError, match="no target 'B'; the table has NK, CD3"):
        draw(attributed, "B")
    attributed.uns["scmoe"] = {}
    with pytest.raises(KeyError, match="run scmoe.tl"):
        draw(attributed)
