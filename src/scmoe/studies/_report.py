"""Tables in Markdown, rows of verdicts, and figures, in the one form that all studies give them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from scmoe.pl._save import show_or_save
from scmoe.studies._statistics import BySeed, equivalence, in_order, mean_interval, paired_p, verdict

Results = Sequence[Mapping[str, Any]]
Row = dict[str, Any]
DotRow = tuple[str, Sequence[float], str]
"""Name, a value for each seed, and color."""
OURS, OTHER = "C0", "0.45"
"""Colors of our methods and of what they are compared with."""


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]], text: Collection[int] = (0,)) -> str:
    """A table; the columns `text` are aligned to the left, all others, which are numbers, to the right."""
    head = f"| {' | '.join(heads)} |".replace("|  |", "| |")
    rule = "".join("---|" if i in text else "---:|" for i in range(len(heads)))
    return "\n".join([head, f"|{rule}", *(f"| {' | '.join(row)} |" for row in rows)])


def plus_minus(mean: float, spread: float | None, decimals: int = 3, *, sign: bool = False) -> str:
    """Mean ± spread; the mean alone where there is no spread (None or NaN)."""
    text = f"{mean:{'+' if sign else ''}.{decimals}f}"
    # Hard spaces: a table of the documentation would break each cell into three lines.
    return text if spread is None or np.isnan(spread) else f"{text}\u00a0±\u00a0{spread:.{decimals}f}"


def mean_cell(values: Sequence[float], decimals: int = 3, *, sign: bool = False) -> str:
    """Mean ± half the width of its 95 % interval, as a cell of a table."""
    if not values:
        return "–"
    mean, interval = mean_interval(values)
    half = None if interval is None else (interval[1] - interval[0]) / 2
    return plus_minus(mean, half, decimals, sign=sign)


def mean_cells(scores: Iterable[BySeed]) -> list[str]:
    """A cell for each method or variant, whose scores are given by seed."""
    return [mean_cell(in_order(of_seeds)) for of_seeds in scores]


def difference_cell(row: Mapping[str, Any]) -> str:
    """Difference and its interval in brackets."""
    interval = row["interval"]
    brackets = "" if interval is None else f" [{interval[0]:+.3f}, {interval[1]:+.3f}]"
    return f"{row['difference']:+.3f}{brackets}"


def verdict_row(
    labels: Mapping[str, str], sample: Sequence[float], *, margin: float | None = None, test: bool = False
) -> Row:
    """One row of the verdicts.

    Parameters
    ----------
    labels
        What is claimed and compared, by column.
    sample
        The difference that is claimed to be positive, of each seed.
    margin
        If given, the claim is that there is no difference larger than it.
    test
        Whether to add the p-value of a paired test.
    """
    mean, interval = mean_interval(sample)
    row: Row = {**labels, "difference": mean, "interval": interval}
    if test:
        row["p"] = paired_p(sample)
    decision = verdict(interval) if margin is None else equivalence(interval, margin)
    return row | {"n_seeds": len(sample), "verdict": decision}


def save_figure(figure: Figure | SubFigure | None, path: Path) -> None:
    """Write a figure and free it."""
    show_or_save(figure, show=False, save=path)
    plt.close(figure if isinstance(figure, Figure) else "all")


def hide_spines(ax: Axes) -> None:
    """No frame above and on the right."""
    ax.spines[["top", "right"]].set_visible(False)


def error_bar(mean: float, interval: Sequence[float] | None) -> list[list[float]] | None:
    """An interval in the form of matplotlib's `errorbar`: distances below and above the mean."""
    return None if interval is None else [[mean - interval[0]], [interval[1] - mean]]


def dot_figure(panels: Mapping[str, Sequence[DotRow]], path: Path) -> None:
    """A panel for each score, a line for each method; panels with the same methods share their names.

    Small points are seeds, large ones means with 95 % intervals.
    """
    names = [[row[0] for row in rows] for rows in panels.values()]
    shared = all(column == names[0] for column in names)
    height = 0.9 + 0.26 * max(map(len, names))
    width = 2.6 * len(panels) + 2.2 * (1 if shared else len(panels))
    figure, axes = plt.subplots(
        1, len(panels), figsize=(width, height), sharey=shared, squeeze=False, layout="constrained"
    )
    for ax, (title, rows) in zip(axes[0], panels.items(), strict=True):
        for place, (_, values, color) in enumerate(rows):
            mean, interval = mean_interval(values)
            ax.scatter(values, np.full(len(values), place), s=9, color="0.75", zorder=2)
            bar = error_bar(mean, interval)
            ax.errorbar(mean, place, xerr=bar, fmt="o", color=color, capsize=3, markersize=5, zorder=3)
        ax.set_yticks(range(len(rows)), [row[0] for row in rows])
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.locator_params(axis="x", nbins=4)  # more labels would touch
        ax.set_title(title, loc="left", fontsize="medium")
        ax.grid(axis="x", color="0.92")
        ax.set_axisbelow(True)
        hide_spines(ax)
    save_figure(figure, path)
