"""Numbers among the results of the pretraining studies."""

from collections.abc import Mapping
from typing import Any

from scmoe.studies._report import Results
from scmoe.studies._statistics import BySeed
from scmoe.studies.genes._plan import BASE, SCREEN, SWEEP


def by_seed(results: Results, kind: str, *path: str, source: str | None = None, variant: str = BASE) -> BySeed:
    """Seed to the number that stands at `path` in the result of a kind of task."""
    scores: BySeed = {}
    for result in results:
        if (result["kind"], result["variant"]) != (kind, variant) or source not in (None, result["source"]):
            continue
        value: Any = result
        for name in path:
            value = value.get(name, {})
        if isinstance(value, int | float):
            scores[result["seed"]] = float(value)
    return scores


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


def at_zeros(results: Results, kind: str, variant: str, method: str, target: str, zeros: float) -> BySeed:
    """Correlation at the share of zeros nearest to the one given, by seed."""
    scores = {}
    for result in results:
        rows = curves(result, method) if (result["kind"], result["variant"]) == (kind, variant) else []
        if rows:
            scores[result["seed"]] = float(min(rows, key=lambda row: abs(row["zeros"] - zeros))[target])
    return scores


def levels_of(results: Results, kind: str, variant: str, method: str, target: str) -> list[tuple[float, list[Any]]]:
    """Of each level of sparsity: the share of zeros, mean over seeds, and each seed's value."""
    of_seeds = [
        curves(r, method) for r in results if (r["kind"], r["variant"]) == (kind, variant) and curves(r, method)
    ]
    levels = [[rows[i] for rows in of_seeds] for i in range(min(map(len, of_seeds), default=0))]
    return [(sum(row["zeros"] for row in rows) / len(rows), [row[target] for row in rows]) for rows in levels]


def cell_conditions(results: Results, kind: str, method: str) -> list[str]:
    """Conditions of the test cells under which labels were predicted: as they are, and with less to read."""
    return next((list(r["sensitivity"][method]) for r in results if r["kind"] == kind and "sensitivity" in r), [])
