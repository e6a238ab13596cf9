"""Finished comparisons side by side: a row for each data set and case, a column for each score and method."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
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


@dataclass(frozen=True, kw_only=True)
class Place:
    """What the methods were compared on.

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
    present = dict.fromkeys(method for place in places for method in place.rows)
    known = {score for place in places for row in place.rows.values() for score in row["values"]}
    _check("method", methods or (), present)
    _check("score", scores, sorted(known))
    columns = list(methods or present)
    text = overview_markdown(places, task, scores, columns)
    write_text(target / "overview.md", text)
    save_overview(places, task, scores, columns, target / "overview.png")
    return text


def table_of(folder: Path) -> dict[str, Any]:
    """The table of a finished comparison."""
    file = folder / "table.json"
    if not file.exists():
        raise ValueError(f"{folder} holds no finished comparison (table.json). Run compare with -o {folder}.")
    return dict(json.loads(file.read_text(encoding="utf-8")))


def places_of(tables: Sequence[Mapping[str, Any]], task: str) -> list[Place]:
    """Data sets and cases in the order in which they come, with the rows of all tables that are about them."""
    places: dict[tuple[str, str, int], Place] = {}
    for table in tables:
        settings = table["settings"]
        told = "".join(f", {name} as {kind}" for name, kind in settings.get("kinds", {}).items())
        for row in table["rows"]:
            if row["task"] == task:
                data, n_cells = Path(settings["data"]).stem + told, _n_cells(row, settings)
                key = data, row["case"], n_cells
                place = places.setdefault(key, Place(data=data, case=row["case"], n_cells=n_cells))
                place.rows.setdefault(row["method"], row)
    return list(places.values())


def _n_cells(row: Mapping[str, Any], settings: Mapping[str, Any]) -> int:
    held_out = [row["values"][name]["mean"] for name in ("n_train", "n_reference") if name in row["values"]]
    return round(next(iter(held_out), settings["n_cells"]))


def _check(word: str, asked: Sequence[str], choices: Any) -> None:
    if unknown := [name for name in asked if name not in choices]:
        raise ValueError(f"No comparison has the {word} {unknown[0]!r}; they have {', '.join(choices)}.")


def overview_markdown(places: Sequence[Place], task: str, scores: Sequence[str], methods: Sequence[str]) -> str:
    """The table; the best of several methods is in bold, and columns without a value are left out."""
    values = {method: {name for place in places for name in _values_of(place, method)} for method in methods}
    columns = [(score, method) for score in scores for method in methods if score in values[method]]
    names = ["data", "cells"] if _one_case(places) else ["data", "case", "cells"]
    heads = [*names, *(_head(task, *column, scores, methods) for column in columns)]
    lines = [heads, ["---"] * (len(names) - 1) + ["---:"] * (len(columns) + 1)]
    for place in places:
        cells = [score_cell(value, DECIMALS, bold=bold) for value, bold in _columns_of(place, task, columns)]
        lines.append([place.data, *([place.case] if "case" in names else []), str(place.n_cells), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _one_case(places: Sequence[Place]) -> bool:
    return len({place.case for place in places}) == 1


def _head(task: str, score: str, method: str, scores: Sequence[str], methods: Sequence[str]) -> str:
    """What tells a column from the others."""
    if len(scores) == 1:
        return method
    return score_title(task, score) if len(methods) == 1 else f"{method}, {score_title(task, score)}"


def score_title(task: str, score: str) -> str:
    """The head of a score where no others stand beside it; without modalities, for there may be others in each row."""
    heads = COLUMNS[task] | DETAILS.get(task, {}) | APART
    return heads.get(score, score).format(first="first", second="second")


def _values_of(place: Place, method: str) -> Mapping[str, Mapping[str, Any]]:
    """Scores of a method, none if it was not run."""
    return place.rows[method]["values"] if method in place.rows else {}


def _columns_of(
    place: Place, task: str, columns: Sequence[tuple[str, str]]
) -> Iterator[tuple[Mapping[str, Any] | None, bool]]:
    """Value of each column, and whether it is the best of several methods."""
    methods = {method for _, method in columns}
    rows = [row for method, row in place.rows.items() if method in methods]
    for score, method in columns:
        best = best_methods(rows, score) if score in COLUMNS[task] and len(methods) > 1 else ()
        yield _values_of(place, method).get(score), method in best


def save_overview(
    places: Sequence[Place], task: str, scores: Sequence[str], methods: Sequence[str], path: Path
) -> None:
    """A panel for each score: a line for each place, a point with its standard deviation for each method."""
    size = (2.2 + 2.6 * len(scores), 1 + (0.14 * len(methods) + 0.16) * len(places))
    figure, axes = plt.subplots(1, len(scores), figsize=size, sharey=True, squeeze=False, layout="constrained")
    for ax, score in zip(axes.flat, scores, strict=True):
        for number, method in enumerate(methods):
            _points(ax, places, score, method, shift=0.7 * ((number + 0.5) / len(methods) - 0.5), number=number)
        if score in HUBS:
            ax.axvline(1, color="0.2", linewidth=0.8, linestyle=":")  # chance
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_title(score_title(task, score), loc="left", fontsize="small")
    case = "" if _one_case(places) else "\n{0.case}"
    names = [f"{place.data}, {place.n_cells} cells{case.format(place)}" for place in places]
    axes[0, 0].set_yticks(range(len(places)), names)
    axes[0, 0].invert_yaxis()  # shared by all panels
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize="small")
    show_or_save(figure, show=False, save=path)
    plt.close(figure)


def _points(ax: Axes, places: Sequence[Place], score: str, method: str, *, shift: float, number: int) -> None:
    values = [_values_of(place, method).get(score) for place in places]
    found = [(height + shift, value) for height, value in enumerate(values) if value is not None]
    ax.errorbar(
        [value["mean"] for _, value in found],
        [height for height, _ in found],
        xerr=[value["sd"] or 0 for _, value in found],
        fmt="o",
        markersize=4,
        linewidth=1,
        color=OUR_COLOR if method == OURS else COLORS[number % len(COLORS)],
        label=method,
    )
