"""Figures of the pretraining studies: small points are seeds, large ones means with 95 % intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from scmoe.io._files import check_writable
from scmoe.pl._save import show_or_save
from scmoe.studies._statistics import mean_interval
from scmoe.studies.genes._curves import masking_figure, sparsity_figure
from scmoe.studies.genes._lookup import Results, by_seed, curves, of_screen, of_variant
from scmoe.studies.genes._masked import REFERENCES, RIDGE
from scmoe.studies.genes._plan import (
    BASE,
    BASELINES,
    EXPERTS,
    FOLDS,
    HELD_OUT,
    OF_STUDY,
    RATES,
    SCREEN,
    SWEEP,
    TOKENIZERS,
    VALUES,
    rate_name,
)
from scmoe.studies.genes._tables import LABELERS, MODEL, values_of
from scmoe.studies.genes._tasks import PCA, PRETRAINED, REGRESSION, TUNED
from scmoe.studies.genes._verdicts import ACCURACY, ARI, F1, MSE, NONZERO, SWEPT, UNSEEN

Row = tuple[str, list[float], str]
"""A name, a value for each seed, and a color."""
OURS, OTHER = "C0", "0.45"


def save_genes_figures(table: Mapping[str, Any], folder: Path) -> None:
    """Write a figure for every study that there are results of.

    Parameters
    ----------
    table
        What `scmoe.benchmark.run_genes` returns.
    folder
        Where to.
    """
    target, results = check_writable(folder), table["results"]
    makers = {
        "genes_pretraining": pretraining_panels,
        "genes_annotation": annotation_panels,
        "genes_values": lambda r: setting_panels(r, VALUES),
        "genes_experts": lambda r: setting_panels(r, EXPERTS),
        "genes_tokenizers": tokenizer_panels,
        "genes_perturbation": screen_panels,
    }
    for name, make in makers.items():
        panels = {title: kept for title, rows in make(results).items() if (kept := [row for row in rows if row[1]])}
        if panels:
            dot_figure(panels, target / f"{name}.png")
    if of_variant(results, rate_name(RATES[0]), *SWEPT[F1]):
        masking_figure(results, target / "genes_masking.png")
    if any(curves(result, MODEL) for result in results):
        sparsity_figure(results, target / "genes_sparsity.png")


def dot_figure(panels: Mapping[str, Sequence[Row]], path: Path) -> None:
    """A panel for each score, a line for each method; panels with the same methods share their names."""
    names = [[row[0] for row in rows] for rows in panels.values()]
    shared = all(each == names[0] for each in names)
    height = 0.9 + 0.26 * max(map(len, names))
    width = 2.6 * len(panels) + 2.2 * (1 if shared else len(panels))
    figure, axes = plt.subplots(
        1, len(panels), figsize=(width, height), sharey=shared, squeeze=False, layout="constrained"
    )
    for ax, (title, rows) in zip(axes[0], panels.items(), strict=True):
        for place, (_, values, color) in enumerate(rows):
            ax.scatter(values, np.full(len(values), place), s=9, color="0.75", zorder=2)
            point(ax, place, values, color)
        ax.set_yticks(range(len(rows)), [row[0] for row in rows])
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.locator_params(axis="x", nbins=4)  # more labels would touch
        ax.set_title(title, loc="left", fontsize="medium")
        ax.grid(axis="x", color="0.92")
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
    show_or_save(figure, show=False, save=path)
    plt.close(figure)


def point(ax: Axes, place: float, values: Sequence[float], color: str) -> None:
    """Mean and interval on a horizontal line."""
    mean, interval = mean_interval(np.asarray(values, float))
    spread = None if interval is None else [[mean - interval[0]], [interval[1] - mean]]
    ax.errorbar(mean, place, xerr=spread, fmt="o", color=color, capsize=3, markersize=5, zorder=3)


def pretraining_panels(results: Results) -> dict[str, list[Row]]:
    """Errors at masked genes of the model and of what has no network."""
    heads = {"mse": "MSE, all masked genes", "mse_nonzero": "MSE, expressed genes", "mse_zero": "MSE, zeros"}
    return {
        head: [
            (name, values_of(by_seed(results, HELD_OUT, "masked", name, score)), OURS if name == MODEL else OTHER)
            for name in (MODEL, *REFERENCES)
        ]
        for score, head in heads.items()
    }


def annotation_panels(results: Results) -> dict[str, list[Row]]:
    """Macro-F1 of every way to labels, for every source."""
    panels = {}
    for kind, part in ((HELD_OUT, "labels"), (FOLDS, "all")):
        for source in dict.fromkeys(r["source"] for r in results if r["kind"] == kind):
            how = "one fold a seed, strict" if kind == HELD_OUT else "five folds, pretrained on all cells"
            panels[f"{source}: macro-F1\n({how})"] = [
                (
                    name,
                    values_of(by_seed(results, kind, part, name, "macro_f1", source=source)),
                    OURS if name == PRETRAINED or name in TUNED.values() else OTHER,
                )
                for name in LABELERS
            ]
    return panels


def setting_panels(results: Results, study: str) -> dict[str, list[Row]]:
    """Scores of the settings of a study, with PCA or ridge for comparison."""
    references = {
        F1: (PCA, "labels"),
        ACCURACY: (PCA, "labels"),
        ARI: (PCA, "clusters"),
        MSE: (RIDGE, "masked"),
        NONZERO: (RIDGE, "masked"),
    }
    panels = {}
    for score, path in SWEPT.items():
        name, where = references[score]
        rows: list[Row] = [(each, values_of(of_variant(results, each, *path)), OURS) for each in OF_STUDY[study]]
        if any(values for _, values, _ in rows):
            found = by_seed(results, BASELINES, where, name, path[-1])
            panels[score] = [*rows, ("PCA or ridge", values_of(found), OTHER)]
    return panels


def tokenizer_panels(results: Results) -> dict[str, list[Row]]:
    """Macro-F1 of the fine-tuned tokenizers in cells as they are and with less to read."""
    conditions = next(
        (list(r["sensitivity"][PCA]) for r in results if r["kind"] == BASELINES and "sensitivity" in r), []
    )

    def f1(kind: str, method: str, condition: str, variant: str = BASE) -> list[float]:
        return values_of(by_seed(results, kind, "sensitivity", method, condition, "macro_f1", variant=variant))

    return {
        f"macro-F1,\n{condition}": [
            *((name, f1(SWEEP, TUNED["all"], condition, name), OURS) for name in OF_STUDY[TOKENIZERS]),
            *((name, f1(BASELINES, name, condition), OTHER) for name in (REGRESSION, PCA)),
        ]
        for condition in conditions
    }


def screen_panels(results: Results) -> dict[str, list[Row]]:
    """Scores of predictions for knock-outs of genes that were never knocked out before."""
    methods = dict.fromkeys(
        row["method"] for r in results if r["kind"] == SCREEN for row in r["rows"] if row["setting"] == UNSEEN
    )
    heads = {"mse": "MSE, all genes", "mse_top": "MSE, top 20 genes", "pearson_top": "Pearson, top 20 genes"}
    ours = {"ridge, identities", "ridge, gene context"}
    return {
        head: [
            (name, values_of(of_screen(results, name, UNSEEN, score)), OURS if name in ours else OTHER)
            for name in methods
        ]
        for score, head in heads.items()
    }
