"""Figures of a comparison: bars with intervals, and ranks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from scmoe.benchmark._report import HUBS, LOWER_IS_BETTER, score_heads
from scmoe.io._files import check_writable
from scmoe.pl._heatmap import heatmap
from scmoe.pl._save import show_or_save

OURS = "scmoe"
N_COLUMNS = 4
APART = {
    "leiden_nmi": "Leiden NMI",
    "kmeans_nmi": "k-means NMI",
    "hub_outside": "hub ratio outside",
    "sd_ratio_positive": "sd / RMSE above zero",
    "coverage_90_positive": "in interval above zero",
}
"""Heads that in the table say less, beside those before them."""


def save_compare_figures(table: Mapping[str, Any], folder: str | Path) -> None:
    """Write ``{task}-{case}.png``, bars of every score, and ``ranks.png``.

    Parameters
    ----------
    table
        What `scmoe.benchmark.run_compare` returns.
    folder
        Where to.
    """
    target = check_writable(folder)
    for task, case in dict.fromkeys((row["task"], row["case"]) for row in table["rows"]):
        rows = [row for row in table["rows"] if (row["task"], row["case"]) == (task, case)]
        _bars(task, case, rows, target / f"{'-'.join((task, *case.replace('→', 'to').split()))}.png")
    if table["rows"]:
        _rank_map(rank_table(table["rows"]), target / "ranks.png")


def _bars(task: str, case: str, rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A panel for each score: means with standard deviations, and a point for every seed."""
    heads = score_names(rows[0]) | {name: APART.get(name, head) for name, head in HUBS.items()}
    scores = [name for name in heads if any(name in row["values"] for row in rows)]
    n_rows = -(-len(scores) // N_COLUMNS)
    n_columns = -(-len(scores) // n_rows)
    size = (1.2 + 2.4 * n_columns, (0.9 + 0.24 * len(rows)) * n_rows)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=size, sharey=True, squeeze=False, layout="constrained")
    for ax, name in zip(axes.flat, scores, strict=False):
        _panel(ax, name, heads[name], rows)
    for ax in axes.flat[len(scores) :]:
        ax.set_axis_off()
    axes[0, 0].invert_yaxis()  # shared by all panels
    figure.suptitle(f"{task.capitalize()}, {case}", weight="bold", fontsize="medium")
    show_or_save(figure, show=False, save=path)
    plt.close(figure)


def _panel(ax: Axes, name: str, head: str, rows: Sequence[Mapping[str, Any]]) -> None:
    for place, row in enumerate(rows):
        value = row["values"].get(name)
        if value is None or not np.isfinite(value["mean"]):
            continue
        color = "tab:red" if row["method"] == OURS else "0.7"
        ax.barh(place, value["mean"], xerr=value["sd"] or 0, color=color, ecolor="0.2", capsize=2, error_kw={"lw": 1})
        ax.plot(value["each"], [place] * value["n"], ".", color="black", markersize=3)
    ax.set_yticks(range(len(rows)), [row["method"] for row in rows])
    ax.axvline(0, color="0.2", linewidth=0.8)
    if name in HUBS:
        ax.axvline(1, color="0.2", linewidth=0.8, linestyle=":")  # chance
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title(head + (" (lower is better)" if name in LOWER_IS_BETTER else ""), loc="left", fontsize="small")


def rank_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rank of every method in every score: 0 the best, 1 the worst, NaN where there is none."""
    columns: dict[str, dict[str, float]] = {}
    for row in rows:
        for name, head in score_names(row).items():
            mean = row["values"].get(name, {"mean": np.nan})["mean"]
            column = columns.setdefault(f"{row['case']}: {head}", {})
            column[row["method"]] = mean if name in LOWER_IS_BETTER else -mean
    ranks = pd.DataFrame({head: pd.Series(means).rank() for head, means in columns.items()}).dropna(axis=1, how="all")
    order = dict.fromkeys(row["method"] for row in rows)
    return ((ranks - 1) / (ranks.count() - 1).clip(lower=1)).loc[list(order)]


def score_names(row: Mapping[str, Any]) -> dict[str, str]:
    """Heads of the scores where no others stand beside them."""
    return {name: APART.get(name, head) for name, head in score_heads(row).items()}


def _rank_map(ranks: pd.DataFrame, path: Path) -> None:
    ax = heatmap(
        ranks.T.rename_axis(index="", columns="method"),  # there are more scores than methods
        cmap="viridis_r",
        norm=Normalize(0, 1),
        colorbar="rank (0: best, 1: worst)",
        baseline=0.5,
        title="Ranks of the methods in each score; gray: not run",
    )
    figure = ax.figure
    show_or_save(figure, show=False, save=path)
    plt.close(figure.figure)
