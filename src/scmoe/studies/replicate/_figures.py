"""Figures of the replication: drawn from results and stored cells."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from mudata import MuData

from scmoe._keys import UMAP
from scmoe.datasets._read import read
from scmoe.io._files import check_writable
from scmoe.pl._attention import attention
from scmoe.pl._expert_usage import expert_usage
from scmoe.pl._heatmap import heatmap
from scmoe.pl._tcav import tcav
from scmoe.studies._report import Results, error_bar, hide_spines, save_figure
from scmoe.studies._statistics import mean_interval
from scmoe.studies.explain._conflict import MODELS
from scmoe.studies.explain._conflict_report import conflict_figure
from scmoe.studies.replicate._claims import ARI, by_seed
from scmoe.studies.replicate._data import LABEL
from scmoe.studies.replicate._forms import OURS, REFERENCE
from scmoe.studies.replicate._plan import ALL_FOUR, CONFLICT, EXPLAIN, GRN_SETS, PCA, Task
from scmoe.studies.replicate._studies import PART, TEST, TRAINING
from scmoe.studies.replicate._tables import LABELS

FORMS = (REFERENCE, OURS, PCA)
MARKERS = {TRAINING: ("o", 8), TEST: ("^", 22)}
MIN_CELLS = 5
"""Of a group, to be drawn in the expert usage."""


def figures(table: Mapping[str, Any], data: Path, folder: Path) -> None:
    """Write all figures for which there are results.

    Parameters
    ----------
    table
        What `scmoe.studies.run_replicate` returns.
    data
        Folder with the stored cells.
    folder
        Where to.
    """
    target = check_writable(folder)
    modalities_figure(table["results"], target / "fig1a_modalities.png")
    for result in table["results"]:
        if result["study"] == EXPLAIN:
            _explained_figures(result, data, target)
    for form in FORMS:
        of_form = [r for r in table["results"] if (r["study"], r["method"]) == (CONFLICT, form)]
        if rows := [row for result in of_form for row in result["rows"]]:
            result = {"rows": rows, "settings": {"models": list(MODELS)}}
            conflict_figure(result, target / f"fig1b_gradients_{form}.png")


def modalities_figure(results: Results, path: Path) -> None:
    """ARI by set of modalities: points are seeds, bars 95 % intervals (Figure 1a)."""
    figure, axes = plt.subplots(1, len(FORMS), figsize=(3.6 * len(FORMS), 3.4), sharey=True, layout="constrained")
    for ax, form in zip(axes, FORMS, strict=True):
        _modalities_panel(ax, results, form)
    axes[0].set_ylabel("ARI, test cells")
    save_figure(figure, path)


def _modalities_panel(ax: Axes, results: Results, form: str) -> None:
    means = []
    for place, modalities in enumerate(GRN_SETS):
        values = np.array(list(by_seed(results, form, modalities, ARI).values()))
        if not len(values):
            continue
        mean, interval = mean_interval(values)
        means.append(mean)
        ax.scatter(np.full(len(values), place - 0.12), values, s=14, color="0.6", zorder=2)
        ax.errorbar(place + 0.08, mean, yerr=error_bar(mean, interval), fmt="o", color="C0", capsize=3, zorder=3)
    names = ["\n".join(modalities) if modalities != ALL_FOUR else "all\nfour" for modalities in GRN_SETS]
    ax.set_xticks(range(len(GRN_SETS)), names)
    ax.set_xlim(-0.5, len(GRN_SETS) - 0.5)
    ax.set_ylim(0, 1)
    gap = f"\nspread of the means {max(means) - min(means):.2f}" if means else ""
    ax.set_title(LABELS[form] + gap, loc="left", fontsize="medium")
    hide_spines(ax)


def _explained_figures(result: Mapping[str, Any], data: Path, target: Path) -> None:
    names = {name: result[name] for name in Task.__dataclass_fields__ if name in result}
    mdata = read(data / f"{Task(path='', content='', **names).name}.h5mu")
    form = result["method"]
    confusion_figure(result, target / f"fig3c_confusion_{form}.png")
    umap_figure(mdata, LABELS[form], target / f"fig3d_umap_{form}.png")
    draw = {
        "fig4a_experts": lambda file: expert_usage(mdata, save=file),
        "fig4a_experts_by_group": lambda file: expert_usage(mdata, by="group", min_cells=MIN_CELLS, save=file),
        "fig4b_attention": lambda file: attention(mdata, save=file),
        "fig4c_concepts": lambda file: tcav(mdata, save=file),
    }
    for name, function in draw.items():
        function(target / f"{name}_{form}.png")
        plt.close("all")


def confusion_figure(result: Mapping[str, Any], path: Path) -> None:
    """Groups and clusters of the test cells, partners on the diagonal (Figure 3c)."""
    counts = pd.DataFrame(
        result["confusion"],
        index=pd.Index(result["groups"], name="true group"),
        columns=pd.Index(result["clusters"], name="cluster"),
    )
    shares = counts.div(counts.sum(axis=1), axis=0)
    title = f"{LABELS[result['method']]}: test cells, accuracy {result['accuracy']:.2f}"
    ax = heatmap(
        shares, cmap="viridis", norm=Normalize(0, 1), colorbar="share of the group's cells", baseline=0, title=title
    )
    save_figure(ax.figure, path)


def umap_figure(mdata: MuData, title: str, path: Path) -> None:
    """Map of the joint embedding, colored by true group; test cells are triangles (Figure 3d)."""
    figure, ax = plt.subplots(figsize=(5.6, 4.2), layout="constrained")
    points, part = np.asarray(mdata.obsm[UMAP]), mdata.obs[PART].astype(str).to_numpy()
    groups = mdata.obs[LABEL].astype(str).to_numpy()
    for place, group in enumerate(np.unique(groups)):
        for name, (marker, size) in MARKERS.items():
            x, y = points[(groups == group) & (part == name)].T
            label, color = group if name == TRAINING else None, f"C{place % 10}"
            ax.scatter(x, y, s=size, marker=marker, color=color, label=label, linewidths=0)
    ax.legend(title=LABEL, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel("UMAP 1")
    ax.set_ylabel("UMAP 2")
    ax.set_title(f"{title} (triangles: test cells)", loc="left", fontsize="medium")
    save_figure(figure, path)
