import numpy as np
import pandas as pd
import pytest

import scmoe.pl
from scmoe.explain import attribution_table, deletion_table
from scmoe.explain._attribution import modality_shares

TARGETS = {"NK": "log-odds", "CD3": "prediction of adt"}


@pytest.fixture
def explained(mdata):
    rng = np.random.default_rng(0)
    names = {"rna": [f"g{i}" for i in range(8)], "adt": ["CD3", "CD4"]}
    tables, summaries, curves, areas = [], [], [], []
    for target, unit in TARGETS.items():
        signed = {m: rng.normal(size=len(features)) for m, features in names.items()}
        size = {m: np.abs(values) for m, values in signed.items()}
        tables.append(attribution_table(signed, size, {m: -x for m, x in signed.items()}, names).assign(target=target))
        summaries.append(modality_shares(signed, size).assign(target=target, unit=unit, n_cells=20))
        for part, into in zip(
            deletion_table(rng.normal(size=(9, 3, 4)), ["attribution", "correlation", "random"], [0, 0.1, 0.2, 0.4]),
            (curves, areas),
            strict=True,
        ):
            into.append(part.assign(target=target))
    frames = zip(
        ("attribution", "attribution_summary", "deletion", "deletion_summary"),
        (tables, summaries, curves, areas),
        strict=True,
    )
    mdata.uns["scmoe"] |= {key: pd.concat(parts, ignore_index=True) for key, parts in frames}
    return mdata


def bars(ax):
    return [bar.get_width() for bar in ax.patches]


def test_bars_are_attributions_of_labels_and_slopes_of_features(explained):
    figure = scmoe.pl.attribution(explained, n_top=5)
    label, feature = figure.axes[:2]
    table = explained.uns["scmoe"]["attribution"]
    expected = table.query("target == 'NK'")["attribution"]
    assert bars(label) == expected.iloc[expected.abs().argsort()[::-1]].head(5).tolist()
    assert bars(feature) == table.query("target == 'CD3'")["slope"].head(5).tolist()
    assert "rna" in label.get_title(loc="left") and "20 cells" in label.get_title(loc="left")


def test_deletion_draws_the_mean_of_the_targets_or_one(explained):
    ax = scmoe.pl.deletion(explained)
    curve = explained.uns["scmoe"]["deletion"].query("ranking == 'attribution'")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), curve.groupby("share")["drop"].mean())
    ax = scmoe.pl.deletion(explained, "NK")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), curve.query("target == 'NK'")["drop"])


@pytest.mark.parametrize("draw", [scmoe.pl.attribution, scmoe.pl.deletion])
def test_bad_arguments(explained, draw):
    with pytest.raises(KeyError, match="no target 'B'; the table has NK, CD3"):
        draw(explained, "B")
    explained.uns["scmoe"] = {}
    with pytest.raises(KeyError, match="run scmoe.tl"):
        draw(explained)
