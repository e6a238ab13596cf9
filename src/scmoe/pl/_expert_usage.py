"""Heat map of which experts serve what."""

from pathlib import Path
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from mudata import MuData

from scmoe._keys import DEFAULT_KEY, EXPERT_SUMMARY, EXPERT_USAGE, EXPERT_USAGE_GROUPBY
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import reads_anndata
from scmoe.explain._groups import ALL_CELLS
from scmoe.explain.experts._untrained import UNTRAINED
from scmoe.explain.experts._usage import ALL_MODALITIES
from scmoe.pl._heatmap import heatmap
from scmoe.pl._save import finish
from scmoe.pl._style import for_print
from scmoe.pl._tables import at_layer, check_in_table, stored_table

FUNCTION = "scmoe.tl.expert_usage"
VALUES = {"soft": "routing weight", "hard": "routed tokens"}


@checks_arguments
@reads_anndata
@for_print
def expert_usage(
    mdata: MuData,
    *,
    by: Literal["modality", "group"] = "modality",
    value: Literal["soft", "hard"] = "soft",
    view: Literal["row", "column"] = "row",
    modality: str | None = None,
    min_cells: int = 1,
    layer: int = -1,
    key: str = DEFAULT_KEY,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Axes | Figure | None:
    """Draw the share of each expert for every modality or group of cells.

    The title says how much a token's row tells about its expert: the mutual information of the two over all rows and
    cells, in brackets its share of the maximum, its p-value (see `scmoe.explain.usage_summary`), and what untrained
    routers give.

    Parameters
    ----------
    mdata
        Data with results of `scmoe.tl.expert_usage`.
    by
        Rows of the heat map: modalities, or the groups that `scmoe.tl.expert_usage` was given.
    value
        Share of the routing weight (``"soft"``) or of the routed tokens (``"hard"``).
    view
        ``"row"``: which experts serve a row, rows sum to 1, no preference is 1 / experts. ``"column"``: which rows an
        expert serves, columns sum to 1, no preference is 1 / rows.
    modality
        With ``by="group"``, the tokens of this modality only; default all of a group's cells and modalities.
    min_cells
        With ``by="group"``, leave out groups of fewer cells: the share of a handful of cells is mostly chance.
    layer
        Layer with experts, counted from 0; negative numbers count from the last.
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
        If the table, its groups, the layer or the modality is not there.
    ValueError
        If `by`, `value` or `view` is none of its options, or no group has `min_cells` cells.

    Examples
    --------
    >>> scmoe.tl.expert_usage(mdata, model, groupby="lineage", n_permutations=99)
    >>> ax = scmoe.pl.expert_usage(mdata, by="group")
    """
    table = at_layer(stored_table(mdata, key, EXPERT_USAGE, FUNCTION), layer).astype({"modality": str, "group": str})
    if modality is not None:
        check_in_table("modality", [modality], table["modality"].unique())
    shares = _shares(table, by, value, modality)
    rows = "modality"
    if by == "group":
        n_cells = table.groupby("group", sort=False)["n_cells"].max()
        shares = shares[(n_cells[shares.index] >= min_cells).to_numpy()]
        if shares.empty:
            raise ValueError(
                f"No group has min_cells={min_cells} cells; the largest has {n_cells.drop(ALL_CELLS).max()}."
            )
        shares = shares.rename(index=lambda name: f"{name} ({n_cells[name]})")
        rows = str(mdata.uns[key].get(EXPERT_USAGE_GROUPBY) or "group").replace("_", " ") + " (cells)"
    shares = shares.rename_axis(index=rows, columns="expert")
    if view == "column":
        shares = shares / shares.sum(axis=0)
    baseline = 1 / shares.shape[1 if view == "row" else 0]
    ax = heatmap(
        shares,
        cmap="viridis",
        norm=Normalize(0, max(float(shares.max().max()), 1.5 * baseline)),
        colorbar=f"{VALUES[value]}, {view}s sum to 1\n(line: no preference, {baseline:.3g})",
        baseline=baseline,
        title=_title(by, view, modality) + _information(mdata, key, layer, by, value, modality),
        ax=ax,
    )
    return finish(ax, show=show, save=save, return_fig=return_fig)


def _shares(table: pd.DataFrame, by: str, value: str, modality: str | None) -> pd.DataFrame:
    """Rows x experts; several modalities of a group are averaged by their numbers of cells."""
    mask = table["group"] == ALL_CELLS if by == "modality" else table["group"] != ALL_CELLS
    if modality is not None:
        mask &= table["modality"] == modality
    table = table[mask].astype({"expert": int})
    if table.empty:
        raise KeyError(f"The table has no groups of cells; run {FUNCTION}(..., groupby=...) first.")
    weighted = table.assign(weight=table[value] * table["n_cells"])
    sums = weighted.groupby([by, "expert"], sort=False)[["weight", "n_cells"]].sum()
    shares = (sums["weight"] / sums["n_cells"]).unstack("expert")
    return shares.loc[table[by].unique()].sort_index(axis=1)


def _title(by: str, view: str, modality: str | None) -> str:
    rows = "modality" if by == "modality" else "group of cells"
    text = f"Which experts serve each {rows}" if view == "row" else f"Which {rows} each expert serves"
    return text if modality is None else f"{text} ({modality} tokens)"


def _information(mdata: MuData, key: str, layer: int, by: str, value: str, modality: str | None) -> str:
    """A second line for the title; empty where the summary is not stored or not about what is drawn."""
    if EXPERT_SUMMARY not in mdata.uns[key]:
        return ""
    table = at_layer(stored_table(mdata, key, EXPERT_SUMMARY, FUNCTION), layer).astype({"by": str, "modality": str})
    mask = (table["by"] == by) & (table["share"] == value) & (table["modality"] == (modality or ALL_MODALITIES))
    match = table[mask & (table["statistic"] == "mutual_information")]
    if match.empty:
        return ""
    row = match.iloc[0]
    share = row["value"] / row["maximum"] if row["maximum"] > 0 else 0.0
    text = f"\nI({by}; expert) = {row['value']:.3f} nats ({share:.0%}), p = {row['p']:.2g}"
    return f"{text}\nuntrained routers: {row[UNTRAINED]:.3f}" if UNTRAINED in row else text
