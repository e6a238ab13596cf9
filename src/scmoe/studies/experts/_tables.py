"""Tables and the figure of the study of experts."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from sklearn.metrics import adjusted_rand_score

from scmoe.pl._style import COLORS, MARKERS, PAGE, for_print
from scmoe.studies._report import Results, Row, difference_cell, error_bar, hide_spines, markdown_table, save_figure
from scmoe.studies.experts._arms import ARMS, DENSE_TOTAL
from scmoe.studies.experts._claims import CONTROLS, MARGIN, POOLED, PRIMARY, SCORES, pays
from scmoe.studies.experts._plan import CONFIRMATION, SCREENING, gain

DECIMALS = 3
LINE, STEP = 0.42, 0.18
"""Inches of the figure for a data set, and steps between its mixtures as a share of that."""


def sections(table: Mapping[str, Any]) -> dict[str, str]:
    """Name to Markdown."""
    return {
        "experts_verdict": verdict(table),
        "experts_screening": screening_table(table["results"]),
        "experts_confirmation": confirmation_table(table["comparisons"]),
        "experts_router": router_table(table["results"]),
    }


def verdict(table: Mapping[str, Any]) -> str:
    """What was decided, in a sentence, and how much of the plan is done."""
    done, planned = len(table["results"]), table["n_planned"]
    primary = [row for row in table["comparisons"] if row["is_primary"]]
    state = f"{done} of {planned} runs are done, {table['hours']:.1f} CPU hours"
    if done < planned or not primary:
        return f"The study is not finished: {state}. Nothing is decided yet.\n"
    winners = {mixture: sets for mixture, sets in pays(primary).items() if len(sets) > 1}
    seen = [row["detectable"] for row in primary if row["is_real"] and row["source"] != POOLED]
    if winners:
        listing = "; ".join(f"{mixture} on {', '.join(sets)}" for mixture, sets in winners.items())
        text = f"Experts pay by {MARGIN} or more over a dense network of equal total size at equal time: {listing}."
    else:
        text = (
            f"No mixture of experts is ahead of a dense network of equal total size by {MARGIN} at equal time on two "
            "measured data sets."
        )
    return (
        f"{text} {state}. With a probability of 0.8, the comparisons on measured data would have seen differences of "
        f"{np.min(seen):.{DECIMALS}f} to {np.max(seen):.{DECIMALS}f} (median {np.median(seen):.{DECIMALS}f}) before "
        "the correction for their number.\n"
    )


def screening_table(results: Results) -> str:
    """Every setting: difference to the dense network of equal total size by data set, and cost."""
    rows = [row for row in results if row["stage"] == SCREENING]
    sources = list(dict.fromkeys(row["source"] for row in rows))
    by_source = [f"{source}: Pearson" for source in sources]
    heads = ["setting", *by_source, "mean Pearson", "mean macro-F1", "CPU time", "runs"]
    lines = []
    for arm in ARMS:
        own = [row for row in rows if row["arm"] == arm]
        if not own:
            continue
        gains = [gain([row for row in rows if row["source"] == source], arm) for source in sources]
        gains += [gain(rows, arm), gain(rows, arm, "macro_f1")]
        cells = ["–" if value is None else f"{value:+.{DECIMALS}f}" for value in gains]
        lines.append([arm, *cells, _ratio(rows, arm), str(len(own))])
    note = f"Differences to *{DENSE_TOTAL}*, mean over seeds; CPU time over its own, median."
    return f"{markdown_table(heads, lines)}\n\n{note}\n"


def _ratio(rows: Results, arm: str) -> str:
    seconds = {(row["arm"], row["source"], row["seed"]): row["seconds"] for row in rows}
    ratios = [
        value / seconds[DENSE_TOTAL, *case]
        for (name, *case), value in seconds.items()
        if name == arm and (DENSE_TOTAL, *case) in seconds
    ]
    return f"{np.median(ratios):.2f}" if ratios else "–"


def confirmation_table(comparisons: Sequence[Row]) -> str:
    """Primary comparisons, each with interval, p after Holm, and the smallest difference that would have been seen."""
    rows = [row for row in comparisons if row["is_primary"]]
    heads = ["data", "setting", "score", "difference [95 %]", "p (Holm)", "would be seen"]
    lines = [
        [
            row["source"],
            row["mixture"],
            SCORES[row["score"]],
            difference_cell(row),
            f"{row['p_holm']:.3f}",
            "–" if row["detectable"] is None else f"{row['detectable']:.{DECIMALS}f}",
        ]
        for row in rows
    ]
    note = f"Setting minus *{CONTROLS[0]}*. Last column: the true difference that is seen with a probability of 0.8."
    return f"{markdown_table(heads, lines, text=(0, 1, 2))}\n\n{note}\n"


def router_table(results: Results) -> str:
    """What routers say of modalities and types beyond untrained ones, and whether seeds agree."""
    stage = CONFIRMATION if any(row["stage"] == CONFIRMATION for row in results) else SCREENING
    rows = [row for row in results if row["stage"] == stage and "router_type" in row]
    heads = ["data", "setting", "load", "modality: trained, untrained", "type: trained, untrained", "seeds agree"]
    lines = []
    for source, method in dict.fromkeys((row["source"], row["method"]) for row in rows):
        own = [row for row in rows if (row["source"], row["method"]) == (source, method)]

        def mean(name: str, own: Results = own) -> str:
            return f"{np.mean([row[name] for row in own]):.{DECIMALS}f}"

        pairs = [f"{mean(f'router_{name}')}, {mean(f'router_{name}_untrained')}" for name in ("modality", "type")]
        lines.append([source, method, mean("router_entropy"), *pairs, agreement(own)])
    note = (
        "Load: entropy over its maximum. Information of the last layer's experts in nats, types within modalities. "
        "Seeds agree: adjusted Rand index of cells by their most used expert, between seeds; 0: chance. Simulations "
        "have other cells with each seed."
    )
    return f"{markdown_table(heads, lines, text=(0, 1))}\n\n{note}\n"


def agreement(rows: Results) -> str:
    """Mean adjusted Rand index of the probed cells' most used experts between seeds."""
    if not rows[0]["is_real"] or len(rows) < 2:
        return "–"
    pairs = combinations([row["top_experts"] for row in rows], 2)
    return f"{np.mean([adjusted_rand_score(a, b) for a, b in pairs]):.{DECIMALS}f}"


@for_print
def figure(comparisons: Sequence[Row], path: Path) -> None:
    """A panel for each primary score, a line for each data set, a point with its 95 % interval for each mixture."""
    rows = [row for row in comparisons if row["is_primary"]]
    mixtures, sources = (list(dict.fromkeys(row[name] for row in rows)) for name in ("mixture", "source"))
    if not rows:
        return
    size = (PAGE, 1 + LINE * len(sources))
    drawing, axes = plt.subplots(1, len(PRIMARY), figsize=size, sharey=True, layout="constrained")
    for ax, score in zip(axes, PRIMARY, strict=True):
        ax.axvspan(-MARGIN, MARGIN, color="0.94", zorder=0)
        ax.axvline(0, color="0.6", linewidth=0.6, zorder=1)
        for row in rows:
            if row["score"] == score:
                i = mixtures.index(row["mixture"])
                place = sources.index(row["source"]) + (i - (len(mixtures) - 1) / 2) * STEP
                bar = error_bar(row["difference"], row["interval"])
                style = {"color": COLORS[i], "marker": MARKERS[i], "markersize": 3, "linewidth": 1, "linestyle": "none"}
                ax.errorbar(row["difference"], place, xerr=bar, **style, zorder=2)
        ax.set_xlabel(f"{SCORES[score]}, difference")
        hide_spines(ax)
    axes[0].set_yticks(range(len(sources)), sources)
    axes[0].set_ylim(len(sources) - 0.5, -0.5)
    handles = [
        Line2D([], [], color=COLORS[i], marker=MARKERS[i], markersize=3, linestyle="none", label=name)
        for i, name in enumerate(mixtures)
    ]
    drawing.legend(handles=handles, loc="outside upper center", ncols=2, frameon=False)
    save_figure(drawing, path)
