"""Tables of the study of reference models."""

from collections.abc import Mapping
from typing import Any

from scmoe.studies._report import markdown_table

HEADS = (
    "features",
    "method",
    "types",
    "balanced",
    "ECE",
    "lineages",
    "ECE",
    "kept at .9",
    "types, kept",
    "lowest recall",
)


def reference_markdown(result: Mapping[str, Any]) -> str:
    """A row for each method and set of modalities."""
    settings = result["settings"]
    text = (
        f"{settings['n_labeled']} of {settings['n_cells']} cells have a type, by {settings['labels']}. Types: accuracy "
        "and balanced accuracy over eight gated types; lineages: T, NK, B and monocytes. ECE: expected calibration "
        f"error, 15 bins. Kept: share of these cells that keep a label at coverage={settings['coverage']}."
    )
    return f"{reference_table(result)}\n\n{text}\n"


def reference_table(result: Mapping[str, Any]) -> str:
    """The table alone."""
    keys = list(dict.fromkeys((row["panel"], row["method"]) for row in result["rows"]))
    lines = []
    for panel, method in keys:
        own = {row["level"]: row for row in result["rows"] if (row["panel"], row["method"]) == (panel, method)}
        types, lineages = own["types"], own["lineages"]
        numbers = [types["accuracy"], types["balanced_accuracy"], types["ece"], lineages["accuracy"], lineages["ece"]]
        kept = [types.get("kept"), types.get("accuracy_kept")]
        lines.append([panel, method, *(_number(value) for value in (*numbers, *kept)), types["worst"]])
    return markdown_table(HEADS, lines, text=(0, 1, len(HEADS) - 1))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
