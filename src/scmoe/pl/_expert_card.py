"""What one expert serves, on a page."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from mudata import MuData

from scmoe._keys import DEFAULT_KEY, EXPERT_CARDS
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import reads_anndata
from scmoe.explain.concepts._adjust import ALPHA
from scmoe.explain.experts._cards import EXPERT, FEATURE, FEATURE_WITHIN, GROUP, MODALITY
from scmoe.pl._axes import figure_or_place, short_name
from scmoe.pl._save import finish
from scmoe.pl._style import COLORS, COLUMN, PAGE, SMALL, UNCLEAR, for_print
from scmoe.pl._tables import at_layer, stored_table
from scmoe.train._diagnostics import DEAD

LESS, MORE = COLORS[:2]
LEGEND = f"orange: more, blue: less, gray: may be chance (adjusted p ≥ {ALPHA}); cells are taken as independent"
TITLE_PAD = 12
"""Points between a panel and its title, for the note between them."""
GROUP_LABEL = "P(cell uses it more than one outside)"


@checks_arguments
@reads_anndata
@for_print
def expert_card(
    mdata: MuData,
    expert: int,
    *,
    layer: int = -1,
    n_groups: int = 8,
    n_features: int = 8,
    key: str = DEFAULT_KEY,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Figure | SubFigure | None:
    """Draw which modalities, groups of cells and features an expert serves.

    Bars start at no preference: orange ones go with more use of the expert, blue ones with less, gray ones may be
    chance (adjusted p of 0.05 or more). Beside the groups stand the mean use in the group and elsewhere. Diamonds are
    correlations within the groups of cells, filled where the adjusted p is below 0.05. A long bar with its diamond at
    0 marks a group of cells, and is no feature that the expert follows. The p-values treat cells as independent.

    Parameters
    ----------
    mdata
        Data with results of `scmoe.tl.expert_cards`.
    expert
        Number of the expert, counted from 0.
    layer
        Layer, counted from 0; negative numbers count from the last.
    n_groups
        Groups of cells drawn for each modality, those of the smallest p-values.
    n_features
        Features drawn for each modality, half of them of either direction.
    key
        The ``key_added`` of the results.
    ax
        Axes of a grid, in whose place the panels are drawn; a new figure if None.
    show
        Show the figure and return nothing.
    save
        File to write the figure to; its ending says the format.
    return_fig
        Return the figure.

    Returns
    -------
    The figure, or the part of one that took the place of `ax`; with `return_fig` all of it; nothing with `show`.

    Raises
    ------
    KeyError
        If the table, the layer or the expert is not there.
    ValueError
        If `n_groups` or `n_features` is below 1.

    Examples
    --------
    >>> scmoe.tl.expert_cards(mdata, model, groupby="lineage", n_permutations=99)
    >>> figure = scmoe.pl.expert_card(mdata, 0)
    """
    table = at_layer(stored_table(mdata, key, EXPERT_CARDS, "scmoe.tl.expert_cards"), layer)
    table = table.astype({"kind": str, "modality": str, "name": str, "expert": int})
    experts = sorted(table["expert"].unique())
    if expert not in experts:
        raise KeyError(f"There is no expert {expert}; the table has {len(experts)} experts, counted from 0.")
    card = table[table["expert"] == expert]
    modalities = card.loc[card["kind"] == MODALITY, "name"].tolist()
    has_groups = bool((card["kind"] == GROUP).any())
    figure = _draw(card, modalities, has_groups, n_groups, n_features, ax)
    figure.suptitle(_header(card, int(table["layer"].iloc[0])), x=0.01, ha="left")
    return finish(figure, show=show, save=save, return_fig=return_fig)


def _draw(
    card: pd.DataFrame, modalities: list[str], has_groups: bool, n_groups: int, n_features: int, ax: Axes | None
) -> Figure | SubFigure:
    """A row of bars for the modalities, and below it a row of panels for each."""
    bars = max(n_groups if has_groups else 1, n_features)
    heights = [0.16 * len(modalities) + 0.1, *[0.15 * bars + 0.1] * len(modalities)]
    figure = figure_or_place(ax, PAGE if has_groups else COLUMN + 1, sum(heights) + 0.55 * len(heights) + 0.5)
    grid = figure.add_gridspec(len(heights), 1 + has_groups, height_ratios=heights)
    of_modalities = card[card["kind"] == MODALITY]
    ax = figure.add_subplot(grid[0, :])
    _bars(ax, of_modalities, "share of the expert's use by each modality, each counting alike")
    for i, modality in enumerate(modalities):
        of_tokens = card[card["modality"] == modality]
        if has_groups:
            groups = of_tokens[of_tokens["kind"] == GROUP]
            ax = figure.add_subplot(grid[1 + i, 0])
            subset = groups.nsmallest(n_groups, "p").sort_values("value", ascending=False)
            _bars(
                ax, subset.assign(name=_short(subset["name"]) + " (" + subset["n_cells"].astype(str) + ")"), GROUP_LABEL
            )
            _means(ax, subset)
            ax.set_title(f"{modality}: groups (cells)", loc="left", pad=TITLE_PAD)
        ax = figure.add_subplot(grid[1 + i, -1])
        features = of_tokens[of_tokens["kind"] == FEATURE]
        subset = _both_ends(features, n_features)
        _bars(ax, subset.assign(name=_short(subset["name"])), "correlation with use")
        if has_groups:
            _diamonds(ax, subset, of_tokens[of_tokens["kind"] == FEATURE_WITHIN])
        ax.set_title(f"{modality}: features", loc="left", pad=TITLE_PAD)
    return figure


def _header(card: pd.DataFrame, layer: int) -> str:
    row = card[card["kind"] == EXPERT].iloc[0]
    text = (
        f"Expert {row['expert']} of layer {layer}: {row['value']:.1%} of all tokens (even share {row['reference']:.1%})"
    )
    if row["value"] < DEAD * row["reference"]:
        text += ", dead: what follows rests on little use"
    return f"{text}\n{LEGEND}"


def _short(names: pd.Series) -> pd.Series:
    """Names that fit beside a bar: long ones without their middle, unless two would be the same."""
    short = names.map(short_name)
    return names.where(short.duplicated(keep=False), short)


def _both_ends(rows: pd.DataFrame, n: int) -> pd.DataFrame:
    """The largest and the smallest values, half of each where there are as many."""
    rows = rows.sort_values("value", ascending=False)
    return rows if len(rows) <= n else pd.concat([rows.head(-(-n // 2)), rows.tail(n // 2)])


def _bars(ax: Axes, rows: pd.DataFrame, label: str) -> None:
    reference = float(rows["reference"].iloc[0]) if len(rows) else 0.0
    value, positions = rows["value"].to_numpy(dtype=float), np.arange(len(rows))
    color = np.where(rows["p_adjusted"] >= ALPHA, UNCLEAR, np.where(value > reference, MORE, LESS))
    ax.barh(positions, value - reference, left=reference, color=color.tolist(), height=0.7)
    ax.axvline(reference, color="black", linewidth=0.8)
    ax.set_yticks(positions, rows["name"].tolist(), fontsize=SMALL)
    ax.invert_yaxis()
    low, high = (0.0, 1.0) if reference else (-1.0, 1.0)
    ax.set_xlim(low, high)
    ax.set_xticks(ticks := [low, (low + high) / 2, high], [f"{tick:g}" for tick in ticks])
    ax.set_xlabel(f"{label} (line: none, {reference:.3g})", fontsize=SMALL)
    ax.tick_params(axis="x", labelsize=SMALL)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)


def _means(ax: Axes, groups: pd.DataFrame) -> None:
    """Mean use in the group and elsewhere, on the side that the bar leaves free."""
    for y, (value, use, elsewhere) in enumerate(groups[["value", "use", "use_elsewhere"]].to_numpy(dtype=float)):
        x, side = (0.48, "right") if value > 0.5 else (0.52, "left")
        ax.text(x, y, f"{use:.2f} : {elsewhere:.2f}", ha=side, va="center", fontsize=SMALL, color="0.3")
    _corner(ax, "mean use, group : elsewhere")


def _diamonds(ax: Axes, features: pd.DataFrame, within: pd.DataFrame) -> None:
    match = features[["name"]].merge(within, on="name", how="left")
    color = np.where(match["p_adjusted"] < ALPHA, "black", "white")
    x = match["value"].to_numpy(dtype=float)
    ax.scatter(
        x, np.arange(len(match)), marker="D", s=12, c=color.tolist(), edgecolors="black", linewidths=0.8, zorder=3
    )
    _corner(ax, "◆ within groups (open: may be chance)")


def _corner(ax: Axes, text: str) -> None:
    ax.annotate(text, (1, 1), xycoords="axes fraction", ha="right", va="bottom", fontsize=SMALL, color="0.3")
