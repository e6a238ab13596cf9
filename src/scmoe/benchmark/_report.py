"""The table of a comparison."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from scmoe.benchmark._inputs import ANNOTATE, BATCHES, EMBED, FOLDS, MAP, MOSAIC, PREDICT
from scmoe.benchmark._plan import MANY_CELLS
from scmoe.benchmark._scores import N_NEIGHBORS
from scmoe.tl._map_query import LOW_SCORE

COLUMNS = {
    EMBED: {
        "leiden_ari": "Leiden ARI",
        "leiden_nmi": "NMI",
        "kmeans_ari": "k-means ARI",
        "kmeans_nmi": "NMI",
        "silhouette": "silhouette",
        "knn_accuracy": "kNN acc",
        "knn_macro_f1": "macro-F1",
        "knn_macro_f1_5": "macro-F1 (≥ 5)",
        "rare_recall": "rare recall",
        "ilisi": "iLISI",
        "knn_mixing": "mixing",
    },
    MAP: {
        "transfer_accuracy": "kNN acc",
        "transfer_macro_f1": "macro-F1",
        "transfer_macro_f1_5": "macro-F1 (≥ 5)",
    },
    PREDICT: {"pearson": "Pearson", "r2": "R²", "nrmse": "nRMSE", "skill": "skill"},
    ANNOTATE: {
        "accuracy": "accuracy",
        "macro_f1": "macro-F1",
        "macro_f1_5": "macro-F1 (≥ 5)",
        "log_loss": "log-loss",
        "ece": "ECE",
    },
    MOSAIC: {
        "knn_accuracy": "kNN acc",
        "knn_macro_f1": "macro-F1",
        "transfer_accuracy": "carried labels",
        "second_pearson": "{second} Pearson",
        "first_pearson": "{first} Pearson",
    },
}
"""Scores of each task, in order, and their heads."""
MIXTURE = {"pearson_network": "network alone", "pearson_linear": "linear alone", "weight": "weight"}
UNCERTAINTY = {
    "sd_ratio": "sd / RMSE",
    "sd_ratio_positive": "above zero",
    "coverage_90": "in 90 % interval",
    "coverage_90_positive": "above zero",
}
HUBS = {"hub_within": "hub ratio within", "hub_outside": "outside"}
DETAILS = {
    EMBED: HUBS,
    MAP: {**HUBS, "low_score": f"mapping score < {LOW_SCORE}"},
    PREDICT: {**MIXTURE, "r2_linear": "R² linear alone", **UNCERTAINTY},
    MOSAIC: {
        f"{place}_{name}": f"{{{place}}} {head}" for place in ("second", "first") for name, head in MIXTURE.items()
    },
}
"""Shown in tables, not compared: what a mixed prediction is made of and how sure it is, and what is best near a number:
hub ratios near 1, low mapping scores near their nominal share."""
COSTS = {"cpu_seconds": "CPU s", "peak_memory_gib": "GiB"}
LOWER_IS_BETTER = {"nrmse", "log_loss", "ece"}
NOTES = {
    EMBED: "All cells; no labels used. Hub ratio: share of the validation cells, of methods that hold some out, among "
    f"the {N_NEIGHBORS} neighbors of each other (within) and of all other cells (outside), over chance.",
    MAP: "{n_reference:.0f} cells to fit on, and {n_query:.0f} new ones that are embedded afterwards; each part is "
    f"prepared on its own. Labels of new cells are those of their {N_NEIGHBORS} nearest cells of the fit. Hub ratio: "
    f"share of the new cells among the {N_NEIGHBORS} neighbors of each other (within) and of the cells of the fit "
    "(outside), over chance; above 1 they are hubs. Of ordinary cells, a share of "
    f"{LOW_SCORE} is to have a mapping score below {LOW_SCORE}.",
    PREDICT: "{n_train:.0f} training cells and {n_test:.0f} held out, the target absent from the latter; means over "
    "{n_features:.0f} features that vary in both ({n_dropped:.0f} dropped). sd / RMSE: root mean squares "
    "of standard deviations over those of errors, each feature in units of its own deviation; above zero: of values "
    "above zero, among features that are never below.",
    ANNOTATE: "{unseen:.0f} cells have a label that their training cells lack: they count as wrong, except in the "
    "log-loss.",
    MOSAIC: "{n_first_only:.0f} cells keep {first} only, {n_second_only:.0f} {second} only, {n_paired:.0f} both. "
    "Neighbors are in the embedding of all cells; labels are carried from the cells with both to those with {first} "
    "only; a modality is predicted for the cells that lack it.",
}
DECIMALS, NONE = 3, "–"
MAX_COLUMNS = 5
"""Of scores in a table, costs counting as one: a page of 1360 pixels cuts off more. Others follow in a table below."""


def summarize(results: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Mean, standard deviation (over seeds) and number of seeds of every score and cost.

    Parameters
    ----------
    results
        One mapping a run: task, case, method, seed, and either ``scores`` and ``cost``, or ``skipped``.

    Returns
    -------
    ``rows``: task, case, source, target, method, ``values`` (score to ``mean``, ``sd``, ``n``, and ``each`` seed's
    value); ``skipped``: task, case, source, target, method, ``reason``.
    """
    names = ("task", "case", "source", "target", "method")
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    skipped: dict[tuple[str, ...], str] = {}
    for result in results:
        place = tuple(result[name] for name in names)
        if "skipped" in result:
            skipped[place] = result["skipped"]
        else:
            groups.setdefault(place, []).append({**result["scores"], **result["cost"]})
    return {
        "rows": [dict(zip(names, place, strict=True)) | {"values": _moments(group)} for place, group in groups.items()],
        "skipped": [dict(zip(names, place, strict=True)) | {"reason": why} for place, why in skipped.items()],
    }


def _moments(group: Sequence[Mapping[str, float]]) -> dict[str, dict[str, Any]]:
    names = dict.fromkeys(name for values in group for name in values)
    columns = {name: [float(values[name]) for values in group if name in values] for name in names}
    return {
        name: {
            "mean": float(np.mean(values)),
            "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "n": len(values),
            "each": values,
        }
        for name, values in columns.items()
    }


def compare_markdown(table: Mapping[str, Any]) -> str:
    """One table for each task and case, best figures in bold, then what was skipped and how it was measured."""
    parts = []
    for task, case in dict.fromkeys((row["task"], row["case"]) for row in table["rows"]):
        rows = [row for row in table["rows"] if (row["task"], row["case"]) == (task, case)]
        numbers = {name: value["mean"] for name, value in rows[0]["values"].items()}
        note = NOTES[task].format_map(numbers | _modalities(rows[0]))
        parts.append(f"**{_title(task, case)}.** {note}\n\n{_table(task, rows)}")
    if table["skipped"]:
        parts.append("**Not run**\n\n" + _skipped(table["skipped"]))
    settings = table["settings"]
    kinds = ", ".join(f"{name} ({kind})" for name, kind in settings["modalities"].items())
    n_labeled = settings.get("labels_per_type")
    few = f"Of each label {n_labeled} training cells keep it, or all if it has fewer. " if n_labeled else ""
    parts.append(
        f"{settings['data']}: {settings['n_cells']} cells, {kinds}, {settings['n_labels']} labels, "
        f"{settings['n_batches']} batches; scmoe {settings['scmoe']}. "
        f"{few}Mean ± standard deviation over the seeds "
        f"{', '.join(map(str, settings['seeds']))}; best in bold. Methods that take minutes are run with the first "
        f"seed only on more than {MANY_CELLS} cells. CPU seconds of a run on one thread (of all folds in "
        "annotation), without loading libraries and data; GiB: largest memory of its process, with libraries and data."
    )
    return "\n\n".join(parts) + "\n"


def _title(task: str, case: str) -> str:
    titles = {(ANNOTATE, FOLDS): "5 folds of cells", (ANNOTATE, BATCHES): "batches held out"}
    return f"{task.capitalize()}, {titles.get((task, case), case)}"


def _modalities(row: Mapping[str, Any]) -> dict[str, str]:
    return {"first": row["source"], "second": row["target"]}


def score_heads(row: Mapping[str, Any]) -> dict[str, str]:
    """Scores of a row's task, and their heads with the names of its modalities."""
    return {name: head.format_map(_modalities(row)) for name, head in COLUMNS[row["task"]].items()}


def _table(task: str, rows: Sequence[Mapping[str, Any]]) -> str:
    heads = score_heads(rows[0]) | {
        name: head.format_map(_modalities(rows[0])) for name, head in DETAILS.get(task, {}).items()
    }
    columns = {name: head for name, head in heads.items() if any(name in row["values"] for row in rows)}
    best = {name: best_methods(rows, name) for name in COLUMNS[task]}
    parts = np.array_split(list(columns), -(-(len(columns) + 1) // MAX_COLUMNS))
    tables = []
    for part in parts:
        is_last = part is parts[-1]
        ends = [*COSTS.values(), "seeds"] if is_last else []
        lines = [["method", *(columns[name] for name in part), *ends], ["---", *["---:"] * (len(part) + len(ends))]]
        for row in rows:
            method, values = row["method"], row["values"]
            cells = [score_cell(values.get(name), DECIMALS, bold=method in best.get(name, ())) for name in part]
            if is_last or set(cells) != {NONE}:
                lines.append([method, *cells, *(_costs(values) if is_last else ())])
        tables.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(tables)


def _costs(values: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What stands at the end of a row: the costs, and the number of seeds."""
    costs = [score_cell(values[name], 1 if name == "cpu_seconds" else 2, sd=False) for name in COSTS]
    return [*costs, str(values["cpu_seconds"]["n"])]


def best_methods(rows: Sequence[Mapping[str, Any]], score: str) -> set[str]:
    """Methods whose mean is the best at the decimals shown."""
    means = {row["method"]: round(row["values"][score]["mean"], DECIMALS) for row in rows if score in row["values"]}
    means = {method: mean for method, mean in means.items() if np.isfinite(mean)}
    if not means:
        return set()
    best = min(means.values()) if score in LOWER_IS_BETTER else max(means.values())
    return {method for method, mean in means.items() if mean == best}


def score_cell(value: Mapping[str, Any] | None, decimals: int, *, bold: bool = False, sd: bool = True) -> str:
    if value is None or not np.isfinite(value["mean"]):
        return NONE
    mean = f"{value['mean']:.{decimals}f}"
    mean = f"**{mean}**" if bold else mean
    # Hard spaces: a table of the documentation would break each cell into three lines.
    return f"{mean}\u00a0±\u00a0{value['sd']:.{decimals}f}" if sd and value["sd"] is not None else mean


def _skipped(skipped: Sequence[Mapping[str, str]]) -> str:
    places: dict[tuple[str, str], list[str]] = {}
    for row in skipped:
        places.setdefault((row["method"], row["reason"]), []).append(_title(row["task"], row["case"]))
    methods: dict[tuple[str, str], list[str]] = {}
    for (method, reason), titles in places.items():
        methods.setdefault(("; ".join(dict.fromkeys(titles)), reason), []).append(method)
    return "\n".join(f"- {', '.join(names)} ({where}): skipped: {why}" for (where, why), names in methods.items())
