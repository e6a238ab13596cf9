"""Figures of the study of unequal labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from scmoe.io._files import check_writable
from scmoe.losses._class_balance import DEFAULT_BALANCE
from scmoe.studies._report import OTHER, OURS, Results, dot_figure, hide_spines, save_figure
from scmoe.studies._statistics import differences, mean_interval
from scmoe.studies.imbalance._annotator import BASELINES
from scmoe.studies.imbalance._claims import MACRO, TAIL, of_annotator, of_study, over_tokenizers, rhos_of
from scmoe.studies.imbalance._plan import ANNOTATED, ANNOTATOR, EVERYWHERE, NONE, STUDY, TOKENIZERS, TREATMENTS

SCORES = {"macro_f1": "macro-F1", "tail_recall": "tail recall", "accuracy": "accuracy"}


def figures(table: Mapping[str, Any], folder: Path) -> None:
    """Write a figure of factors, one of treatments, and one for each case of the annotator.

    Parameters
    ----------
    table
        What `scmoe.studies.run_imbalance` returns.
    folder
        Where to.
    """
    target, results = check_writable(folder), table["results"]
    if any(result["kind"] == STUDY for result in results):
        factor_figure(results, target / "imbalance_factors.png")
        panels = {
            f"{head}, minus none": [
                (name, differences(over_tokenizers(results, name, score), over_tokenizers(results, NONE, score)), OTHER)
                for name in TREATMENTS
                if name != NONE
            ]
            for score, head in SCORES.items()
        }
        if all(row[1] for rows in panels.values() for row in rows):
            dot_figure(panels, target / "imbalance_treatments.png")
    for case in dict.fromkeys(result["case"] for result in results if result["kind"] == ANNOTATOR):
        panels = {
            head: [
                (
                    name,
                    list(of_annotator(results, case, name, score).values()),
                    OURS if name == DEFAULT_BALANCE else OTHER,
                )
                for name in (*ANNOTATED, *BASELINES)
            ]
            for score, head in SCORES.items()
        }
        dot_figure(panels, target / f"imbalance_annotator_{case}.png")


def factor_figure(results: Results, path: Path) -> None:
    """Lines of F1 over factors, one for each tokenizer; a panel for each score and treatment."""
    rhos = rhos_of(results)
    panels = [
        (score, head, treatment) for treatment in EVERYWHERE for score, head in ((TAIL, "tail F1"), (MACRO, "macro-F1"))
    ]
    figure, axes = plt.subplots(1, len(panels), figsize=(3 * len(panels), 3), sharey=True, layout="constrained")
    for ax, (score, head, treatment) in zip(axes, panels, strict=True):
        for i, name in enumerate(TOKENIZERS):
            stats = [mean_interval(list(of_study(results, name, treatment, score, rho).values())) for rho in rhos]
            half = [0.0 if interval is None else (interval[1] - interval[0]) / 2 for _, interval in stats]
            # a little apart, so that intervals do not hide each other
            place = np.arange(len(rhos)) + 0.06 * (i - len(TOKENIZERS) / 2)
            ax.errorbar(place, [mean for mean, _ in stats], yerr=half, fmt="-o", markersize=4, capsize=2, label=name)
        ax.set_xticks(range(len(rhos)), [f"{rho:g}" for rho in rhos])
        ax.set_xlabel("cells, most frequent / rarest label")
        ax.set_title(f"{head}, {treatment}", loc="left", fontsize="medium")
        hide_spines(ax)
    axes[0].set_ylabel("score of test cells")
    axes[0].legend(frameon=False, fontsize="small")
    save_figure(figure, path)
