"""Bars of the features that a target is attributed to."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from mudata import MuData

from scmoe._keys import ATTRIBUTION, ATTRIBUTION_SUMMARY, DEFAULT_KEY
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import reads_anndata
from scmoe.datasets._categories import Category, names_of
from scmoe.pl._axes import grid_shape
from scmoe.pl._save import finish
from scmoe.pl._tables import check_in_table, stored_table

FUNCTION = "scmoe.tl.attribute"
LOG_ODDS = "log-odds"
MAX_TARGETS, N_COLUMNS = 6, 3


@checks_arguments
@reads_anndata
def attribution(
    mdata: MuData,
    targets: Category | Sequence[Category] | None = None,
    *,
    n_top: int = 12,
    key: str = DEFAULT_KEY,
    show: bool | None = None,
    save: str | Path | None = None,
) -> Figure | None:
    """Draw the features of the largest attributions, one panel a target.

    For labels and groups the bars are mean attributions in the target's cells, in log-odds: to the right, what speaks
    for the label there. Predicted features are high in some cells and low in others, so their bars are slopes: to the
    right, what raises the prediction. Colors are modalities; a panel's title gives their shares.

    Parameters
    ----------
    mdata
        Data with results of `scmoe.tl.attribute`.
    targets
        Which; None: the first six.
    n_top
        Features a panel.
    key
        The ``key_added`` of the results.
    show
        Show the figure and return nothing.
    save
        File to write the figure to.

    Returns
    -------
    The figure, unless `show` is True.

    Raises
    ------
    KeyError
        There is no table, or no such target in it.
    """
    table = stored_table(mdata, key, ATTRIBUTION, FUNCTION).astype({"target": str, "modality": str, "feature": str})
    summary = stored_table(mdata, key, ATTRIBUTION_SUMMARY, FUNCTION).astype({"target": str, "modality": str})
    known = list(table["target"].unique())
    names = known[:MAX_TARGETS] if targets is None else names_of(targets)
    check_in_table("target", names, known)
    colors = {name: f"C{i}" for i, name in enumerate(summary["modality"].unique())}
    n_rows, n_columns = grid_shape(len(names), N_COLUMNS)
    size = (3.6 * n_columns + 0.6, (0.21 * n_top + 1.1) * n_rows + 0.5)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=size, layout="constrained", squeeze=False)
    for ax, name in zip(axes.flat, names, strict=False):
        _panel(ax, name, table[table["target"] == name], summary[summary["target"] == name], colors, n_top)
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    handles = [Patch(color=color, label=name) for name, color in colors.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize="small")
    return finish(figure, show=show, save=save)


def _panel(ax: Axes, name: str, table: pd.DataFrame, summary: pd.DataFrame, colors: dict[str, str], n_top: int) -> None:
    unit = str(summary["unit"].iloc[0])
    if unit == LOG_ODDS:
        table = table.iloc[table["attribution"].abs().argsort()[::-1]]
    table = table.head(n_top)
    values = table["attribution" if unit == LOG_ODDS else "slope"].to_numpy(dtype=float)
    rows = np.arange(len(table))[::-1]
    ax.barh(rows, values, color=[colors[m] for m in table["modality"]], height=0.75)
    ax.set_yticks(rows, table["feature"], fontsize="small")
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_xlabel(
        "mean attribution, log-odds" if unit == LOG_ODDS else f"{unit}, per standard deviation", fontsize="small"
    )
    ax.tick_params(axis="x", labelsize="small")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    shares = ", ".join(f"{m} {share:.0%}" for m, share in zip(summary["modality"], summary["share"], strict=True))
    ax.set_title(f"{name}\n{shares}; {int(summary['n_cells'].iloc[0])} cells", loc="left", fontsize="small")
