"""Finished comparisons side by side: a row for each data set and case, a column for each score and method."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from scmoe.benchmark._figures import APART, OURS
from scmoe.benchmark._inputs import TASKS
from scmoe.benchmark._kept import write_text
from scmoe.benchmark._report import COLUMNS, DECIMALS, DETAILS, HUBS, best_methods, score_cell
from scmoe.io._files import check_writable
from scmoe.pl._save import show_or_save

OUR_COLOR = "tab:red"
COLORS = ("tab:blue", "tab:orange", "tab:green", "tab:purple", "tab:brown", "tab:pink", "tab:olive", "tab:cyan", "0.5")
"""Of the other methods, in turn."""
Value = Mapping[str, Any]
"""Mean, standard deviation and number of seeds of a score."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """What methods were compared on.

    Parameters
    ----------
    data
        Name of the file, and what `scmoe.pp.prepare` was told of it.
    case
        Of the task.
    n_cells
        Number of cells to fit on, or of all where none are held out.
    rows
        One a method, as in ``table.json``; the first comparison that has it counts.
    """

    data: str
    case: str
    n_cells: int
    rows: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def value(self, method: str, score: str) -> Value | None:
        """A score of a method; None if it was not run or has none."""
        return self.rows[method]["values"].get(score) if method in self.rows else None


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Scores of one task on several places.

    Parameters
    ----------
    places
        The rows.
    task
        One of `TASKS`.
    scores, methods
        The columns, in order.
    """

    places: list[Place]
    task: str
    scores: Sequence[str]
    methods: Sequence[str]

    def names(self) -> dict[str, list[str]]:
        """What tells places from each other, by head: data, and case and number of cells where data alone do not."""
        names = {"data": [place.data for place in self.places]}
        if len({place.case for place in self.places}) > 1:
            names["case"] = [place.case.replace(" ", "\u00a0") for place in self.places]
        if len({(place.data, place.case) for place in self.places}) < len(self.places):
            names["cells"] = [str(place.n_cells) for place in self.places]
        return names

    def markdown(self) -> str:
        """The table: the best of several methods in bold, no columns without a value, means if no value is missing."""
        columns = [
            (score, method)
            for score in self.scores
            for method in self.methods
            if any(place.value(method, score) for place in self.places)
        ]
        names = self.names()
        lines = [[*names, *(self._head(*column) for column in columns)]]
        lines += [["---:" if head == "cells" else "---" for head in names] + ["---:"] * len(columns)]
        for place, *texts in zip(self.places, *names.values(), strict=True):
            lines.append([*texts, *(self._cell(place, *column) for column in columns)])
        values = [[place.value(method, score) for score, method in columns] for place in self.places]
        if len(values) > 1 and all(all(row) for row in values):
            means = np.mean([[value["mean"] for value in row if value] for row in values], axis=0)
            lines.append(["mean", *[""] * (len(names) - 1), *(f"{mean:.{DECIMALS}f}" for mean in means)])
        return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"

    def _head(self, score: str, method: str) -> str:
        """What tells a column from the others."""
        if len(self.scores) == 1:
            return method
        return self._title(score) if len(self.methods) == 1 else f"{method}, {self._title(score)}"

    def _title(self, score: str) -> str:
        """Head of a score where no others stand beside it; without modalities, which differ between places."""
        heads = COLUMNS[self.task] | DETAILS.get(self.task, {}) | APART
        return heads.get(score, score).format(first="first", second="second")

    def _cell(self, place: Place, score: str, method: str) -> str:
        compared = score in COLUMNS[self.task] and len(self.methods) > 1
        rows = [row for name, row in place.rows.items() if name in self.methods]
        bold = compared and method in best_methods(rows, score)
        return score_cell(place.value(method, score), DECIMALS, bold=bold)

    def save_figure(self, path: Path) -> None:
        """A panel for each score: a line for each place, a point with its standard deviation for each method."""
        size = (2.2 + 1.9 * len(self.scores), 1 + (0.14 * len(self.methods) + 0.16) * len(self.places))
        figure, axes = plt.subplots(1, len(self.scores), figsize=size, sharey=True, squeeze=False, layout="constrained")
        for ax, score in zip(axes.flat, self.scores, strict=True):
            self._panel(ax, score)
        names = [", ".join(texts) for texts in zip(*self.names().values(), strict=True)]
        axes[0, 0].set_yticks(range(len(names)), names)
        axes[0, 0].invert_yaxis()  # shared by all panels
        handles = axes[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper center", ncols=4, frameon=False, fontsize="small")
        show_or_save(figure, show=False, save=path)
        plt.close(figure)

    def _panel(self, ax: Axes, score: str) -> None:
        others = [method for method in self.methods if method != OURS]
        for number, method in enumerate(self.methods):
            shift = 0.7 * ((number + 0.5) / len(self.methods) - 0.5)
            values = [(height, place.value(method, score)) for height, place in enumerate(self.places)]
            points = [(height + shift, value["mean"], value["sd"] or 0) for height, value in values if value]
            heights, means, deviations = zip(*points, strict=True) if points else ((), (), ())
            color = OUR_COLOR if method == OURS else COLORS[others.index(method) % len(COLORS)]
            ax.errorbar(means, heights, xerr=deviations, fmt="o", markersize=4, linewidth=1, color=color, label=method)
        if score in HUBS:
            ax.axvline(1, color="0.2", linewidth=0.8, linestyle=":")  # chance
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_title(self._title(score), loc="left", fontsize="small")


def write_overview(
    folders: Sequence[Path], output: Path, *, task: str, scores: Sequence[str], methods: Sequence[str] | None = None
) -> str:
    """Write ``overview.md`` and ``overview.png`` of comparisons, and return the table.

    Parameters
    ----------
    folders
        What `scmoe.benchmark.run_compare` wrote to.
    output
        Folder to write.
    task
        One task of the comparisons.
    scores
        As ``table.json`` calls them.
    methods
        Their names; default all.

    Raises
    ------
    ValueError
        A folder has no finished comparison; there is no such task; or no row has one of the scores or methods.
    """
    if task not in TASKS:
        raise ValueError(f"There is no task {task!r}; choose from {', '.join(TASKS)}.")
    target = check_writable(output)
    places = places_of([table_of(folder) for folder in folders], task)
    rows = [row for place in places for row in place.rows.values()]
    present = dict.fromkeys(row["method"] for row in rows)
    _check("method", methods or (), present)
    _check("score", scores, sorted({score for row in rows for score in row["values"]}))
    columns = [(method, score) for method in methods or present for score in scores]
    places = [place for place in places if any(place.value(*column) for column in columns)]
    overview = Overview(places=places, task=task, scores=scores, methods=list(methods or present))
    text = overview.markdown()
    write_text(target / "overview.md", text)
    overview.save_figure(target / "overview.png")
    return text


def table_of(folder: Path) -> dict[str, Any]:
    """The table of a finished comparison."""
    file = folder / "table.json"
    if not file.exists():
        raise ValueError(f"{folder} holds no finished comparison (table.json). Run compare with -o {folder}.")
    return dict(json.loads(file.read_text(encoding="utf-8")))


def places_of(tables: Iterable[Mapping[str, Any]], task: str) -> list[Place]:
    """Data sets and cases in the order in which they come, with the rows of all tables that are about them."""
    places: dict[tuple[str, str, int], Place] = {}
    for table in tables:
        settings = table["settings"]
        told = "".join(f", {name} as {kind}" for name, kind in settings.get("kinds", {}).items())
        for row in table["rows"]:
            if row["task"] == task:
                key = Path(settings["data"]).stem + told, row["case"], _n_cells(row, settings)
                place = places.setdefault(key, Place(data=key[0], case=key[1], n_cells=key[2]))
                place.rows.setdefault(row["method"], row)
    return list(places.values())


def _n_cells(row: Mapping[str, Any], settings: Mapping[str, Any]) -> int:
    held_out = [row["values"][name]["mean"] for name in ("n_train", "n_reference") if name in row["values"]]
    return round(next(iter(held_out), settings["n_cells"]))


def _check(word: str, names: Iterable[str], choices: Collection[str]) -> None:
    if unknown := [name for name in names if name not in choices]:
        raise ValueError(f"No comparison has the {word} {unknown[0]!r}; they have {', '.join(choices)}.")
