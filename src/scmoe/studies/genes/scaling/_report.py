"""Table and figure of `scmoe.studies.run_genes_scaling`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from scmoe.studies._report import Results, hide_spines, markdown_table, mean_cell, save_figure
from scmoe.studies._statistics import mean_interval
from scmoe.studies.genes.scaling._law import Law, fit_law

HEADS = ("parameters", "cells", "MSE of masked genes", "ridge on PCA")


def laws_of(results: Results) -> dict[int, Law]:
    """The law of each seed; none where a seed has too few results."""
    laws = {}
    for seed in sorted({result["seed"] for result in results}):
        own = [result for result in results if result["seed"] == seed]
        law = fit_law(*([result[name] for result in own] for name in ("n_parameters", "n_cells", "mse")))
        if law is not None:
            laws[seed] = law
    return laws


def scaling_markdown(result: Mapping[str, Any]) -> str:
    """Losses by size and cells, the law, and the step of the largest size."""
    results, rows = result["results"], []
    cases = sorted({(each["n_parameters"], each["n_cells"]) for each in results})
    for n_parameters, n_cells in cases:
        own = [each for each in results if (each["n_parameters"], each["n_cells"]) == (n_parameters, n_cells)]
        losses = (mean_cell([each[name] for each in own]) for name in ("mse", "ridge_mse"))
        rows.append([f"{n_parameters:,}", f"{n_cells:,}", *losses])
    parts = [markdown_table(HEADS, rows, text=())]
    if laws := laws_of(results):
        parts.append(law_sentence(list(laws.values())))
    if largest := result["largest"]:
        parts.append(
            f"The published size: {largest['n_parameters'] / 1e6:.0f} million parameters; built and stepped once in "
            f"{largest['wall']:.0f} s, {largest['peak'] / 1024:.1f} GiB."
        )
    return "\n\n".join(parts) + "\n"


def law_sentence(laws: list[Law]) -> str:
    """Exponents over seeds, with intervals."""
    alpha, beta, floor = (mean_cell([getattr(law, name) for law in laws], 2) for name in ("alpha", "beta", "floor"))
    return (
        f"Fitted, over {len(laws)} seeds: loss = {floor} + a · parameters^-α + b · cells^-β with α = {alpha} and "
        f"β = {beta}. At the largest of both, growing the network without end would lower the loss by "
        f"{np.mean([law.a for law in laws]):.3f}, and growing the cells by {np.mean([law.b for law in laws]):.3f}."
    )


def scaling_figure(results: Results, path: Path) -> None:
    """Loss against cells, a line for each size of the network, and ridge regression."""
    figure, ax = plt.subplots(figsize=(5.6, 3.8), layout="constrained")
    sizes = sorted({result["n_parameters"] for result in results})
    colors = plt.get_cmap("viridis")(np.linspace(0.1, 0.85, len(sizes)))
    lines = [(f"{size:,} parameters", "mse", size, color) for size, color in zip(sizes, colors, strict=True)]
    for label, name, size, color in [*lines, ("ridge on PCA", "ridge_mse", None, "0.4")]:
        own = [result for result in results if size is None or result["n_parameters"] == size]
        cells = sorted({result["n_cells"] for result in own})
        means = [mean_interval([each[name] for each in own if each["n_cells"] == n])[0] for n in cells]
        ax.plot(cells, means, marker="o", markersize=4, color=color, label=label, ls="--" if size is None else "-")
    ax.set_xscale("log")
    every = sorted({result["n_cells"] for result in results})
    ax.set_xticks(every, [f"{n:,}" for n in every])
    ax.minorticks_off()
    ax.set_xlabel("training cells")
    ax.set_ylabel("mean squared error of masked genes,\nunseen cells")
    ax.legend(frameon=False, fontsize="small")
    hide_spines(ax)
    save_figure(figure, path)
