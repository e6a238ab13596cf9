"""Numbers among the results of the pretraining studies."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scmoe.studies._statistics import mean_interval
from scmoe.studies.genes._plan import BASE, SCREEN, SWEEP

Results = Sequence[Mapping[str, Any]]
BySeed = dict[int, float]


def by_seed(results: Results, kind: str, *path: str, source: str | None = None, variant: str = BASE) -> BySeed:
    """Seed to the number that stands at `path` in the result of a kind of task."""
    found: BySeed = {}
    for result in results:
        if (result["kind"], result["variant"]) != (kind, variant) or source not in (None, result["source"]):
            continue
        value: Any = result
        for name in path:
            value = value.get(name, {})
        if isinstance(value, int | float):
            found[result["seed"]] = float(value)
    return found


def of_variant(results: Results, variant: str, *path: str) -> BySeed:
    """The same of a setting of the network."""
    return by_seed(results, SWEEP, *path, variant=variant)


def of_screen(results: Results, method: str, setting: str, score: str) -> BySeed:
    """A score of a method for perturbations, by seed."""
    return {
        result["seed"]: row[score]
        for result in results
        if result["kind"] == SCREEN
        for row in result["rows"]
        if (row["method"], row["setting"]) == (method, setting)
    }


def curves(result: Mapping[str, Any], method: str) -> list[Mapping[str, Any]]:
    """Rows of a sparsity curve, by rising share of zeros."""
    return result.get("sparsity", {}).get(method, [])


def differences(first: BySeed, second: BySeed) -> list[float]:
    """First minus second, of the seeds that both have."""
    return [first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())]


def shown(values: Sequence[float], decimals: int = 3, *, sign: bool = False) -> str:
    """Mean ± half the width of its 95 % interval, as a cell of a table."""
    if not values:
        return "–"
    mean, interval = mean_interval(np.asarray(values, float))
    text = f"{mean:{'+' if sign else ''}.{decimals}f}"
    return text if interval is None else f"{text}\u00a0±\u00a0{(interval[1] - interval[0]) / 2:.{decimals}f}"


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text."""
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])
