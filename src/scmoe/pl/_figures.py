"""Every figure of a result, written to a folder."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from mudata import MuData

from scmoe._keys import (
    ABLATION,
    ATTENTION,
    ATTRIBUTION,
    DEFAULT_KEY,
    DELETION,
    EXPERT_ABLATION,
    EXPERT_CARDS,
    EXPERT_USAGE,
    EXPERT_USAGE_GROUPBY,
    GRADIENT_CONFLICT,
    HISTORY,
    TCAV,
    UMAP,
    column_names,
)
from scmoe.explain._groups import ALL_CELLS
from scmoe.io._files import check_writable
from scmoe.pl._ablation import ablation
from scmoe.pl._attention import attention
from scmoe.pl._attribution import attribution
from scmoe.pl._deletion import deletion
from scmoe.pl._expert_card import expert_card
from scmoe.pl._expert_usage import expert_usage
from scmoe.pl._gradient_conflict import gradient_conflict
from scmoe.pl._history import history
from scmoe.pl._map import draw_map
from scmoe.pl._save import DPI, show_or_save
from scmoe.pl._style import COLUMN, for_print
from scmoe.pl._tcav import tcav

MIN_CELLS = 5
"""Smaller groups are left out of the expert usage by group, unless all are smaller."""


def save_figures(
    mdata: MuData, folder: str | Path, *, color: Sequence[str] = (), key: str = DEFAULT_KEY
) -> dict[str, Path]:
    """Write a figure for every result that is stored, and nothing for those that are not.

    Parameters
    ----------
    mdata
        Data with results of `scmoe.tl`.
    folder
        Folder for the PNG files; created if needed.
    color
        Columns of ``mdata.obs`` for one UMAP each, if ``mdata.obsm["X_umap"]`` is there. Of more than
        six categories, those that lie next to each other share a color.
    key
        The ``key_added`` of the results.

    Returns
    -------
    Name of each figure -> its file.

    Raises
    ------
    WriteError
        If `folder` cannot be written.
    """
    folder = check_writable(folder)
    stored = mdata.uns.get(key, {})
    plots: dict[str, Callable[..., object]] = {}
    if HISTORY in stored:
        plots["history"] = partial(history, mdata, key=key)
    if EXPERT_USAGE in stored:
        plots["expert_usage"] = partial(expert_usage, mdata, key=key)
        if stored.get(EXPERT_USAGE_GROUPBY):
            min_cells = smallest_group(stored[EXPERT_USAGE])
            plots["expert_usage_by_group"] = partial(expert_usage, mdata, by="group", min_cells=min_cells, key=key)
    if ATTENTION in stored:
        plots["attention"] = partial(attention, mdata, beside_ablation=ABLATION in stored, key=key)
    if ABLATION in stored:
        plots["ablation"] = partial(ablation, mdata, key=key)
    if EXPERT_ABLATION in stored:
        plots["expert_ablation"] = partial(ablation, mdata, experts=True, key=key)
    if ATTRIBUTION in stored:
        plots["attribution"] = partial(attribution, mdata, key=key)
    if DELETION in stored:
        plots["deletion"] = partial(deletion, mdata, key=key)
    if TCAV in stored:
        for layer in pd.unique(stored[TCAV]["layer"].astype(str)):
            plots[f"tcav_{layer}"] = partial(tcav, mdata, layer=layer, key=key)
    if GRADIENT_CONFLICT in stored:
        for definition in pd.unique(stored[GRADIENT_CONFLICT]["definition"].astype(str)):
            plots[f"gradient_conflict_{definition}"] = partial(gradient_conflict, mdata, definition=definition, key=key)
    if EXPERT_CARDS in stored:
        for expert in sorted(set(stored[EXPERT_CARDS]["expert"].astype(int))):
            plots[f"expert_card_{expert}"] = partial(expert_card, mdata, expert, key=key)
    if UMAP in mdata.obsm:
        for name in color:
            plots[f"umap_{name}"] = partial(_umap, mdata, name)
    names = list(plots)
    files = {name: folder / f"{file}.png" for name, file in zip(names, column_names(names), strict=True)}
    for name, plot in plots.items():
        plot(save=files[name])
        plt.close()
    return files


def smallest_group(usage: pd.DataFrame) -> int:
    """`MIN_CELLS`, or 1 where no group has so many."""
    largest = usage["n_cells"][usage["group"].astype(str) != ALL_CELLS].max()
    return MIN_CELLS if largest >= MIN_CELLS else 1


@for_print
def _umap(mdata: MuData, color: str, *, save: Path) -> None:
    figure, ax = plt.subplots(figsize=(COLUMN, COLUMN), layout="constrained")
    draw_map(ax, np.asarray(mdata.obsm[UMAP]), mdata.obs[color])
    ax.set_title(color.replace("_", " "), loc="left")
    show_or_save(figure, show=False, save=save, dpi=DPI)
