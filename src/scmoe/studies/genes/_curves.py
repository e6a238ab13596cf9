"""Curves of the pretraining studies, by rate of masking and by sparsity: means with 95 % intervals over seeds."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from scmoe.studies._report import Results, error_bar, hide_spines, save_figure
from scmoe.studies._statistics import in_order, mean_interval
from scmoe.studies.genes._claims import HIGH, SWEPT
from scmoe.studies.genes._lookup import curves, levels_of, of_variant
from scmoe.studies.genes._masked import EXPRESSED_MEAN, MASKED_MEAN, RIDGE
from scmoe.studies.genes._plan import BASE, BASELINES, DEPTH, NO_ZEROS, RATES, SWEEP, rate_name
from scmoe.studies.genes._tables import MODEL


def masking_figure(results: Results, path: Path) -> None:
    """Scores by the rate of masking; the cross is the default rate without masked zeros."""
    figure, axes = plt.subplots(1, len(SWEPT), figsize=(2.7 * len(SWEPT), 2.8), layout="constrained")
    for ax, (score, place) in zip(axes, SWEPT.items(), strict=True):
        points = [(rate, in_order(of_variant(results, rate_name(rate), *place))) for rate in RATES]
        line(ax, points, "C0", "zeros masked too")
        line(ax, [(0.3, in_order(of_variant(results, NO_ZEROS, *place)))], "C3", NO_ZEROS, "X")
        ax.set_xlabel("share of expressed genes masked")
        ax.set_title(score, loc="left", fontsize="medium")
        hide_spines(ax)
    axes[0].legend(frameon=False, fontsize="small")
    save_figure(figure, path)


def line(ax: Axes, points: Sequence[tuple[float, Sequence[float]]], color: str, label: str, marker: str = "o") -> None:
    """Means with intervals over seeds, joined."""
    known = [(x, *mean_interval(values)) for x, values in points if values]
    if not known:
        return
    ax.plot([x for x, *_ in known], [y for _, y, _ in known], marker=marker, color=color, label=label, markersize=5)
    for x, mean, interval in known:
        if interval is not None:
            ax.errorbar(x, mean, yerr=error_bar(mean, interval), color=color, capsize=2, linewidth=1)


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
            line(ax, levels_of(results, kind, variant, method, target), color, label)
        ax.set_title(title, loc="left", fontsize="medium")
    types = sorted({x for r in results for row in curves(r, MODEL) for x in row["thinned_by_label"]})
    levels = levels_of(results, SWEEP, BASE, MODEL, "thinned_by_label")
    for name, color in zip(types, plt.get_cmap("tab10").colors * 4, strict=False):  # type: ignore[attr-defined]
        points = [(x, [v[name] for v in values if name in v]) for x, values in levels]
        line(axes[2], points, color, name)
    axes[2].set_title("default, thinned cells, by label", loc="left", fontsize="medium")
    axes[0].set_ylim(0, 1)  # over few seeds, intervals of types with few cells reach beyond what a correlation can be
    for ax in axes:
        ax.axhline(HIGH, color="0.6", linestyle=":", linewidth=1)
        ax.set_xlabel("share of zeros")
        hide_spines(ax)
    axes[0].set_ylabel("Pearson r, masked expressed genes")
    axes[0].legend(frameon=False, fontsize="x-small", loc="lower left")
    axes[2].legend(frameon=False, fontsize="x-small", loc="lower left", ncols=2)
    save_figure(figure, path)
