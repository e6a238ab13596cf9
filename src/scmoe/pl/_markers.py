"""Markers of groups: dots, or a ranked table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from mudata import MuData

from scmoe._keys import DEFAULT_KEY, MARKERS, MARKERS_GROUPBY
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import reads_anndata
from scmoe.datasets._categories import category_names
from scmoe.explain.concepts._adjust import ALPHA
from scmoe.pl._axes import axes_or_new
from scmoe.pl._save import finish
from scmoe.pl._style import COLUMN, DIVERGING, MAX_HEIGHT, PAGE, SMALL, for_print
from scmoe.pl._tables import check_in_table, stored_table

LARGEST_DOT = 90.0
"""Area of the dot of a feature that all cells have, in square points."""
LARGEST_CHANGE = 4.0
"""Fold changes (log2) are drawn in the same color from here on."""
SHARES = (0.25, 0.5, 1.0)
"""In the legend."""


@checks_arguments
@reads_anndata
@for_print
def markers(
    mdata: MuData,
    *,
    modality: str | None = None,
    groups: Sequence[str] | None = None,
    n_top: int = 3,
    kind: Literal["dots", "table"] = "dots",
    key: str = DEFAULT_KEY,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Axes | Figure | None:
    """Draw the features that are highest in each group.

    Dots: their area is the share of the group's cells in which a feature was seen, their color its fold change (red:
    higher in the group, blue: lower; of continuous values the AUC); those with an adjusted p below 0.05 have an edge.
    Table: feature, fold change, AUC and adjusted p of the first features of each group. All numbers are those of the
    table ``mdata.uns[key]["markers"]``, which ``.to_csv("markers.csv")`` writes to a file.

    Parameters
    ----------
    mdata
        Data with results of `scmoe.tl.markers`.
    modality
        One that was tested; None: the first.
    groups
        Groups to draw, in this order; None: all that were tested.
    n_top
        Features of each group.
    kind
        ``"dots"`` or ``"table"``.
    key
        The ``key_added`` of the results.
    ax
        Axes to draw into; a new figure if None.
    show
        Show the figure and return nothing.
    save
        File to write the figure to; its ending says the format.
    return_fig
        Return the figure.

    Returns
    -------
    The axes; with `return_fig` their figure; nothing with `show`.

    Raises
    ------
    KeyError
        If the table, the modality or a group is not there.
    ValueError
        If the groups have other cells than those that were tested, or none could be tested.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> scmoe.pp.prepare(mdata)
    >>> scmoe.tl.markers(mdata, groupby="cell_type", batch_key="batch")
    >>> ax = scmoe.pl.markers(mdata, modality="adt", groups=["NK", "CD14+ Mono"])
    """
    table = stored_table(mdata, key, MARKERS, "scmoe.tl.markers", "groupby=...")
    table = table.astype({"modality": str, "group": str, "feature": str})
    known = list(dict.fromkeys(table["modality"]))
    modality = known[0] if modality is None else modality
    check_in_table("modality", [modality], known)
    table = table[(table["modality"] == modality)]
    check_current(mdata, table, key, modality)
    names = list(dict.fromkeys(table.loc[table["p_value"].notna(), "group"]))
    if groups is not None:
        check_in_table("tested group", groups, names)
        names = list(groups)
    if not names:
        raise ValueError(f"No group of {modality!r} could be tested; mdata.uns[{key!r}]['markers'] is NaN throughout.")
    tops = {name: table[table["group"] == name].dropna(subset="score").head(n_top) for name in names}
    draw = _dots if kind == "dots" else _ranked
    ax = draw(table, tops, ax)
    ax.set_title(f"{modality}: markers by {mdata.uns[key].get(MARKERS_GROUPBY, 'group')}", loc="left")
    return finish(ax, show=show, save=save, return_fig=return_fig)


def check_current(mdata: MuData, table: pd.DataFrame, key: str, modality: str) -> None:
    """Raise if the groups have changed since the tests."""
    groupby = str(mdata.uns[key].get(MARKERS_GROUPBY, ""))
    if groupby not in mdata.obs or modality not in mdata.mod:
        return
    sizes = category_names(mdata.obs[groupby].loc[mdata.mod[modality].obs_names]).value_counts()
    tested = table.groupby("group")["n_cells"].first()
    changed = [name for name, n in tested.items() if sizes.get(name, 0) != n]
    if changed:
        raise ValueError(
            f"The group {changed[0]!r} of obs[{groupby!r}] has {sizes.get(changed[0], 0)} cells, and had "
            f"{tested[changed[0]]} when it was tested: the table is of other groups. Run scmoe.tl.markers again."
        )


def _dots(table: pd.DataFrame, tops: dict[str, pd.DataFrame], ax: Axes | None) -> Axes:
    """Groups as rows, the first features of each as columns."""
    features = list(dict.fromkeys(feature for rows in tops.values() for feature in rows["feature"]))
    is_change = bool(table["log_fold_change"].notna().any())
    column, label = ("log_fold_change", "fold change (log2)") if is_change else ("auc", "AUC")
    limit = LARGEST_CHANGE if is_change else 1.0
    norm: Normalize = TwoSlopeNorm(0, -limit, limit) if is_change else TwoSlopeNorm(0.5, 0, 1)
    own = table[table["feature"].isin(features) & table["group"].isin(list(tops))]
    width, height = 0.19 * len(features) + 3.2, 0.22 * len(tops) + 1.4
    ax = axes_or_new(ax, min(max(COLUMN, width), PAGE), min(max(2.2, height), MAX_HEIGHT))
    share = own["detection_in"].fillna(1).to_numpy(dtype=float)
    points = ax.scatter(
        own["feature"].map({name: i for i, name in enumerate(features)}),
        own["group"].map({name: i for i, name in enumerate(tops)}),
        s=LARGEST_DOT * share,
        c=own[column].to_numpy(dtype=float),
        cmap=DIVERGING,
        norm=norm,
        edgecolors=np.where(own["p_adjusted"] < ALPHA, "black", "none").tolist(),
        linewidths=0.6,
    )
    ax.set_xticks(range(len(features)), features, rotation=90, fontsize=SMALL)
    ax.set_yticks(range(len(tops)), list(tops), fontsize=SMALL)
    ax.set_xlim(-0.7, len(features) - 0.3)
    ax.set_ylim(len(tops) - 0.4, -0.6)
    ax.tick_params(length=0)
    ax.spines[["top", "right"]].set_visible(False)
    if ax.figure is not None:
        bar = ax.figure.colorbar(
            points, ax=ax, pad=0.02, shrink=0.6, aspect=14, extend="both" if is_change else "neither"
        )
        bar.set_label(label, fontsize=SMALL)
        bar.ax.tick_params(labelsize=SMALL)
    if table["detection_in"].notna().any():
        _size_legend(ax)
    return ax


def _size_legend(ax: Axes) -> None:
    handles = [
        Line2D([], [], ls="", marker="o", color="0.6", markersize=np.sqrt(LARGEST_DOT * share), label=f"{share:.0%}")
        for share in SHARES
    ]
    ax.legend(
        handles=handles,
        title="cells of the group with it\n(edge: adjusted p < .05)",
        title_fontsize=SMALL,
        fontsize=SMALL,
        frameon=False,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=len(SHARES),
        borderpad=0,
    )


def _ranked(table: pd.DataFrame, tops: dict[str, pd.DataFrame], ax: Axes | None) -> Axes:
    """A row for each feature, under a heading for each group."""
    head = ["", "fold change (log2)", "AUC", "adjusted p"]
    rows, headings = [head], []
    for name, top in tops.items():
        headings.append(len(rows))
        rows.append([f"{name} ({top['n_cells'].iloc[0]} cells)", "", "", ""])
        for row in top.itertuples():
            change = "–" if pd.isna(row.log_fold_change) else f"{row.log_fold_change:+.2f}"
            rows.append([f"   {row.feature}", change, f"{row.auc:.2f}", f"{row.p_adjusted:.1e}"])
    ax = axes_or_new(ax, 5.0, 0.19 * len(rows) + 0.5)
    ax.set_axis_off()
    ax.set_xlim(0, 1)
    ax.set_ylim(len(rows), 0)
    for y, row in enumerate(rows):
        weight = "bold" if y in headings or y == 0 else "normal"
        for x, text in zip((0, 0.62, 0.78, 1.0), row, strict=True):
            ax.text(x, y + 0.5, text, ha="left" if x == 0 else "right", va="center", fontsize=SMALL, fontweight=weight)
    ax.axhline(1, color="black", linewidth=0.8)
    return ax
