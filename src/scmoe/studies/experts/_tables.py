"""Tables and the figure of the study of experts."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_rand_score

from scmoe.studies._report import OTHER, OURS, Results, Row, difference_cell, dot_figure, markdown_table
from scmoe.studies.experts._arms import ARMS, DENSE_TOTAL
from scmoe.studies.experts._claims import CONTROLS, MARGIN, POOLED, PRIMARY, SCORES, pays
from scmoe.studies.experts._plan import CONFIRMATION, SCREENING, gain

DECIMALS = 3


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


def figure(comparisons: Sequence[Row], path: Path) -> None:
    """A panel for each primary score: differences by data set and setting."""
    panels = {}
    for score in PRIMARY:
        rows = [row for row in comparisons if row["is_primary"] and row["score"] == score]
        panels[f"{SCORES[score]} over {CONTROLS[0]}"] = [
            (f"{row['source']}: {row['mixture']}", row["values"], OURS if row["is_real"] else OTHER) for row in rows
        ]
    if all(panels.values()):
        dot_figure(panels, path)
