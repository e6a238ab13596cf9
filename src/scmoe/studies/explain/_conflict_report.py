"""Markdown and figure of `scmoe.studies.run_conflict`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy.stats import gaussian_kde

from scmoe.studies._report import difference_cell, markdown_table, save_figure
from scmoe.studies._statistics import FAILS, HOLDS, OPEN
from scmoe.studies._statistics import verdict as interval_verdict

HEADS = {
    "target": "Gradient of a modality: of the loss of decoding it",
    "source": "Gradient of a modality: of the loss of decoding all modalities from its state",
    "token": "Gradient of a modality: of the training loss through its tokens",
    "task": "Gradient of a task: reconstruction, neighbor graph",
}
COLUMNS = {
    "loss": "loss",
    "cosine": "cosine",
    "reference": "random cells",
    "conflict_rate": "below 0",
    "reference_rate": "random cells below 0",
    "magnitude_similarity": "magnitude similarity",
    "expert_cosine": "cosine by expert",
    "coactivation": "experts both reach",
}
ANSWERS = {HOLDS: "yes", FAILS: "no, the opposite", OPEN: "not decided"}
N_POINTS = 400


def conflict_markdown(result: Mapping[str, Any]) -> str:
    """What became of the paper's claim, a table for each definition, the course over epochs, and how it was made."""
    parts = [verdict(result)]
    for definition, head in HEADS.items():
        rows = [
            [
                line["model"],
                *(f"{line[name]:.3f}" for name in COLUMNS),
                difference_cell(line) if "difference" in line else "",
            ]
            for line in result["summary"]
            if line["definition"] == definition
        ]
        parts.append(markdown_table([head, *COLUMNS.values(), "experts minus this"], rows))
    parts.append(_course(result))
    settings = result["settings"]
    n_seeds, n_epochs = len(settings["seeds"]), len(settings["epochs"])
    parts.append(
        f"{settings['data']}: {settings['n_cells']} cells with {', '.join(settings['modalities'])}. Means over "
        f"{n_seeds} seed(s), {n_epochs} epochs and {settings['n_batches']} batches, the same batches for all models "
        "and epochs; the difference is between models of the same seed, with its 95 % interval over seeds (Student's "
        "t). Gradients on all parameters of the experts, without dropout and noise. Loss: the training loss of these "
        "batches. Random cells: the same of random groups of cells of the batch, one group for each modality (two for "
        "tasks), which differ by chance alone. Cosine by expert: mean over the experts that both reach; an expert that "
        "only one reaches pulls the cosine over all experts to 0."
    )
    return "\n\n".join(parts) + "\n"


def verdict(result: Mapping[str, Any]) -> str:
    """Whether the cosines of modalities are more positive on experts, and how they stand to those of random cells."""
    lines = [line for line in result["summary"] if line["definition"] != "task"]
    comparisons = [line for line in lines if "difference" in line]
    cases: dict[str, list[str]] = {}
    for line in comparisons:
        case = f"{line['definition']} against {line['model']} ({line['difference']:+.3f})"
        cases.setdefault(decision(line["interval"]), []).append(case)
    cases = {name: cases[name] for name in ANSWERS.values() if name in cases}
    answer = next(iter(cases)).capitalize() if len(cases) == 1 else "Not in general"
    details = "; ".join(f"{name}: {', '.join(names)}" for name, names in cases.items())
    n_below = sum(line["cosine"] < line["reference"] for line in lines)
    return (
        "**Is the cosine of the modalities' gradients more positive on experts than on a dense layer, as the scMoE "
        f"paper (Figure 1b) says? {answer}.** {details}. Decided means that the 95 % interval over seeds leaves out 0; "
        f"the intervals are not adjusted for {len(comparisons)} comparisons. In {n_below} of {len(lines)} cases the "
        "modalities' mean cosine is below that of random cells, and the losses of the models "
        f"differ by at most {100 * _loss_gap(result['rows']):.1f} % after the same epoch."
    )


def _loss_gap(rows: Sequence[Mapping[str, Any]]) -> float:
    """Largest difference of the models' losses after an epoch, as a share of the smallest; means over seeds."""
    losses: dict[int, dict[str, list[float]]] = {}
    for row in rows:
        losses.setdefault(row["epoch"], {}).setdefault(row["model"], []).append(row["loss"])
    means = [[float(np.mean(values)) for values in of_models.values()] for of_models in losses.values()]
    return max(max(of_epoch) / min(of_epoch) - 1 for of_epoch in means)


def decision(interval: Sequence[float] | None) -> str:
    """What an interval of the difference says."""
    return ANSWERS[interval_verdict(interval)]


def _course(result: Mapping[str, Any]) -> str:
    """Loss and cosines after each epoch."""
    epochs = result["settings"]["epochs"]
    table = []
    for name, definitions in (("loss", ("target",)), ("cosine", tuple(HEADS))):
        for definition in definitions:
            for model in result["settings"]["models"]:
                rows = [r for r in result["rows"] if r["model"] == model and r["definition"] == definition]
                means = [np.mean([row[name] for row in rows if row["epoch"] == epoch]) for epoch in epochs]
                head = model if name == "loss" else f"{definition}, {model}"
                table.append([f"{name}: {head}", *(f"{mean:.3f}" for mean in means)])
    return markdown_table(["after epoch", *map(str, epochs)], table)


def conflict_figure(result: Mapping[str, Any], path: Path) -> None:
    """Distributions of the cosines of all batches, epochs and seeds, a panel for each definition."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 6.5), layout="constrained")
    for ax, (definition, head) in zip(axes.flat, HEADS.items(), strict=True):
        _panel(ax, [row for row in result["rows"] if row["definition"] == definition], result["settings"]["models"])
        ax.set_title(head, loc="left", fontsize="small")
    axes[0, 0].legend(frameon=False, fontsize="small")
    figure.supxlabel("cosine of two gradients in a batch (below 0: conflict; dashed: mean)", fontsize="medium")
    save_figure(figure, path)


def _panel(ax: Axes, rows: Sequence[Mapping[str, Any]], models: Sequence[str]) -> None:
    random = _pooled(rows, "reference_cosines")
    cosines = {model: _pooled([row for row in rows if row["model"] == model], "cosines") for model in models}
    everything = np.concatenate([random, *cosines.values()])
    x = np.linspace(everything.min() - 0.05, everything.max() + 0.05, N_POINTS)
    ax.fill_between(x, gaussian_kde(random)(x), color="0.85", label="random cells, all models")
    for place, (model, values) in enumerate(cosines.items()):
        ax.plot(x, gaussian_kde(values)(x), color=f"C{place}", label=model)
        ax.axvline(values.mean(), color=f"C{place}", linewidth=1, linestyle="--")
    ax.axvline(0, color="0.2", linewidth=0.8)
    ax.set_ylim(0)
    ax.set_yticks([])
    ax.spines[["top", "right", "left"]].set_visible(False)


def _pooled(rows: Sequence[Mapping[str, Any]], name: str) -> NDArray[np.float64]:
    return np.concatenate([np.ravel(row[name]) for row in rows])
