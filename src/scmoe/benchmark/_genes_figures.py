"""Figures of the pretraining studies: small points are seeds, large ones means with 95 % intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from scmoe._io import check_writable
from scmoe.benchmark._conflict_run import mean_interval
from scmoe.benchmark._genes_lookup import Results, by_seed, curves, of_screen, of_variant
from scmoe.benchmark._genes_masked import EXPRESSED_MEAN, MASKED_MEAN, REFERENCES, RIDGE
from scmoe.benchmark._genes_plan import (
    BASE,
    BASELINES,
    DEPTH,
    EXPERTS,
    FOLDS,
    HELD_OUT,
    NO_ZEROS,
    OF_STUDY,
    RATES,
    SCREEN,
    SWEEP,
    TOKENIZERS,
    VALUES,
    rate_name,
)
from scmoe.benchmark._genes_tables import LABELERS, MODEL, values_of
from scmoe.benchmark._genes_tasks import PCA, PRETRAINED, REGRESSION, TUNED
from scmoe.benchmark._genes_verdicts import ARI, F1, HIGH, MSE, NONZERO, SWEPT, UNSEEN
from scmoe.pl._save import show_or_save

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
    for kind, part in ((HELD_OUT, "labels"), (FOLDS, "tuned")):
        for source in dict.fromkeys(r["source"] for r in results if r["kind"] == kind):
            how = "one fold a seed, strict" if kind == HELD_OUT else "pretrained on all cells"
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
    references = {F1: (PCA, "labels"), ARI: (PCA, "clusters"), MSE: (RIDGE, "masked"), NONZERO: (RIDGE, "masked")}
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


def masking_figure(results: Results, path: Path) -> None:
    """Scores by the rate of masking; the cross is the default rate without masked zeros."""
    figure, axes = plt.subplots(1, len(SWEPT), figsize=(3.2 * len(SWEPT), 3), layout="constrained")
    for ax, (score, place) in zip(axes, SWEPT.items(), strict=True):
        line(
            ax,
            [(rate, values_of(of_variant(results, rate_name(rate), *place))) for rate in RATES],
            OURS,
            "zeros masked too",
        )
        line(ax, [(0.3, values_of(of_variant(results, NO_ZEROS, *place)))], "C3", NO_ZEROS, "X")
        ax.set_xlabel("share of expressed genes masked")
        ax.set_title(score, loc="left", fontsize="medium")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, fontsize="small")
    show_or_save(figure, show=False, save=path)
    plt.close(figure)


def line(ax: Axes, points: Sequence[tuple[float, Sequence[float]]], color: str, label: str, marker: str = "o") -> None:
    """Means with intervals over seeds, joined."""
    known = [(x, *mean_interval(np.asarray(values, float))) for x, values in points if values]
    if not known:
        return
    x, mean = [each[0] for each in known], [each[1] for each in known]
    ax.plot(x, mean, marker=marker, color=color, label=label, markersize=5)
    for place, middle, interval in known:
        if interval is not None:
            spread = [[middle - interval[0]], [interval[1] - middle]]
            ax.errorbar(place, middle, yerr=spread, color=color, capsize=2, linewidth=1)


def sparsity_figure(results: Results, path: Path) -> None:
    """Correlations by the share of zeros: values of thinned and of whole cells, and by cell type."""
    figure, axes = plt.subplots(1, 3, figsize=(12.5, 3.6), sharey=True, layout="constrained")
    of_method = {
        "default": (SWEEP, BASE, MODEL, "C0"),
        DEPTH: (SWEEP, DEPTH, MODEL, "C1"),
        RIDGE: (BASELINES, BASE, RIDGE, "0.2"),
        MASKED_MEAN: (BASELINES, BASE, MASKED_MEAN, "0.5"),
        EXPRESSED_MEAN: (BASELINES, BASE, EXPRESSED_MEAN, "0.75"),
    }
    for ax, (target, title) in zip(
        axes, {"thinned": "values of the thinned cells", "full": "values of the whole cells"}.items(), strict=False
    ):
        for label, (kind, variant, method, color) in of_method.items():
            line(ax, _points(results, kind, variant, method, target), color, label)
        ax.set_title(title, loc="left", fontsize="medium")
    types = sorted({x for r in results for row in curves(r, MODEL) for x in row["thinned_by_label"]})
    for name, color in zip(types, plt.get_cmap("tab10").colors * 4, strict=False):  # type: ignore[attr-defined]
        points = [(x, [v[name] for v in values if name in v]) for x, values in _by_label(results)]
        line(axes[2], points, color, name)
    axes[2].set_title("default, thinned cells, by label", loc="left", fontsize="medium")
    for ax in axes:
        ax.axhline(HIGH, color="0.6", linestyle=":", linewidth=1)
        ax.set_xlabel("share of zeros")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("Pearson r, masked expressed genes")
    axes[0].legend(frameon=False, fontsize="x-small")
    axes[2].legend(frameon=False, fontsize="x-small", ncols=2)
    show_or_save(figure, show=False, save=path)
    plt.close(figure)


def _points(results: Results, kind: str, variant: str, method: str, target: str) -> list[tuple[float, list[Any]]]:
    """Share of zeros, mean over seeds, and each seed's value, for each level."""
    mine = [curves(r, method) for r in results if (r["kind"], r["variant"]) == (kind, variant) and curves(r, method)]
    levels = range(min(map(len, mine), default=0))
    return [(float(np.mean([each[i]["zeros"] for each in mine])), [each[i][target] for each in mine]) for i in levels]


def _by_label(results: Results) -> list[tuple[float, list[Any]]]:
    return _points(results, SWEEP, BASE, MODEL, "thinned_by_label")
