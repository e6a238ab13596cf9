"""`run_experts`: do sparse experts pay where cells differ in kind?"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mudata import MuData

from scmoe._log import logger
from scmoe._version import __version__
from scmoe.benchmark._baselines import dense
from scmoe.benchmark._cells import subset
from scmoe.benchmark._scores import neighbor_scores
from scmoe.benchmark._tasks import TRAIN_SIZE
from scmoe.benchmark.methods._scmoe import ALWAYS, fit, predicted
from scmoe.datasets._read import read
from scmoe.io._files import atomic_path, check_writable
from scmoe.metrics._features import feature_scores
from scmoe.pp._prepare import prepare
from scmoe.studies.experts._regimes import (
    FIRST,
    N_PROGRAMS,
    N_REGIMES,
    REGIME,
    SECOND,
    halves_of_programs,
    simulate_regimes,
    specialization,
)
from scmoe.studies.speed._timing import single_thread

MOE, DENSE = ALWAYS
N_CELLS, N_CELLS_QUICK = 4000, 600
DECIMALS = 3
HEADS = {
    "knn_accuracy": "regimes by 15 neighbors, accuracy",
    "router_modality": "top expert and modality, mutual information",
    "router_regime": "top expert and regime, mutual information",
}
PARTS = {"pearson": "Pearson", "r2": "R²", "pearson_network": "Pearson, network alone"}


def run_experts(
    output: str | Path, *, data: str | Path | None = None, seeds: Sequence[int] = (0, 1, 2), quick: bool = False
) -> dict[str, Any]:
    """Compare experts with a dense layer of equal active size, on data made of distinct regimes.

    Parameters
    ----------
    output
        Folder for ``experts.json`` and ``experts.md``.
    data
        A file with RNA, whose gene programs are compared too; see `scmoe.studies.experts._regimes.halves_of_programs`.
    seeds
        Of data, split and model.
    quick
        600 cells and the first seed.

    Returns
    -------
    The content of ``experts.json``: ``rows``, each with section, score, the values of both models by seed and mean and standard
    deviation of their paired difference; ``settings``; and ``ceiling``, the Pearson correlation of the simulated second
    modality with its values before the noise.

    Raises
    ------
    ValueError
        The file has no RNA.
    """
    folder = check_writable(output)
    seeds = list(seeds)[:1] if quick else list(seeds)
    n_cells = N_CELLS_QUICK if quick else N_CELLS
    rows, ceiling = [], []
    with single_thread():
        made = [simulate_regimes(n_cells, seed) for seed in seeds]
        for mdata in made:
            second = mdata.mod[SECOND]
            ceiling.append(float(feature_scores(second.X, second.layers["clean"])["pearson"].mean()))
        rows += _compared("simulated regimes", made, seeds)
        if data is not None:
            mdata = read(data)
            prepare(mdata)
            made = [halves_of_programs(mdata, seed) for seed in seeds]
            rows += _compared(f"gene programs of {Path(data).name}", made, seeds)
    settings = {"n_cells": n_cells, "seeds": seeds, "scmoe": __version__}
    result = {"rows": rows, "ceiling": float(np.mean(ceiling)), "settings": settings}
    for name, text in (("experts.json", json.dumps(result, indent=2) + "\n"), ("experts.md", experts_markdown(result))):
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return result


def _compared(section: str, made: Sequence[MuData], seeds: Sequence[int]) -> list[dict[str, Any]]:
    found: dict[str, list[dict[str, float]]] = {MOE: [], DENSE: []}
    for mdata, seed in zip(made, seeds, strict=True):
        for method, values in found.items():
            logger.info("%s, %s, seed %d", section, method, seed)
            values.append(experts_scores(method, mdata, seed))
    return [
        _row(section, score, *([each[score] for each in values] for values in found.values()))
        for score in found[MOE][0]
    ]


def _row(section: str, score: str, ours: list[float], theirs: list[float]) -> dict[str, Any]:
    difference = np.subtract(ours, theirs)
    return {
        "section": section,
        "score": score,
        MOE: ours,
        DENSE: theirs,
        "difference": float(difference.mean()),
        "sd": float(difference.std(ddof=1)) if len(difference) > 1 else None,
    }


def experts_scores(method: str, mdata: MuData, seed: int) -> dict[str, float]:
    """Prediction of held-out cells both ways, regimes in the embedding of all cells, and what the router knows."""
    order = mdata.obs_names[np.random.default_rng(seed).permutation(mdata.n_obs)]
    n_train = round(TRAIN_SIZE * mdata.n_obs)
    train, test = (subset(mdata, cells, [FIRST, SECOND]) for cells in (order[:n_train], order[n_train:]))
    model = fit(method, train, seed)
    scores: dict[str, float] = {}
    for source, target in ((FIRST, SECOND), (SECOND, FIRST)):
        of_pair = predicted(model, train, test, source, target).scores(dense(train[target].X), dense(test[target].X))
        scores |= {f"{source} → {target}: {name}": of_pair[name] for name in PARTS}
    points = model.get_latent_representation(mdata)
    scores["knn_accuracy"] = neighbor_scores(points, mdata.obs[REGIME].to_numpy(dtype=str), seed)["knn_accuracy"]
    return scores | specialization(model.get_router_activations(test), test.obs[REGIME].to_numpy(dtype=str))


def experts_markdown(result: Mapping[str, Any]) -> str:
    """A table for each section, the difference with its standard deviation, and how it was made."""
    parts = []
    for section in dict.fromkeys(row["section"] for row in result["rows"]):
        lines = [f"| {section} | {MOE} | {DENSE} | difference |", "|---|---:|---:|---:|"]
        lines += [_line(row) for row in result["rows"] if row["section"] == section]
        parts.append("\n".join(lines))
    settings = result["settings"]
    parts.append(
        f"Seeds {', '.join(map(str, settings['seeds']))}; the difference is the mean over runs with the same seed, with its standard "
        f"deviation. {MOE}: the defaults; {DENSE}: one dense layer of equal active size. A fifth of the cells are held out. "
        "Mutual information is that of the most used expert of a cell's modality, divided by the entropy of what it is compared "
        f"with (of regimes: within each modality); a dense layer has none. Simulated: {settings['n_cells']} cells of {N_REGIMES} "
        "regimes, each with its own nonlinear map from the first modality to the second; the second before the noise was "
        f"added has a Pearson of {result['ceiling']:.{DECIMALS}f} with itself after. Gene programs, if any: {N_PROGRAMS} components of "
        f"the RNA, alternately in the first and in the second modality; regimes are {N_REGIMES} k-means clusters of them."
    )
    return "\n\n".join(parts) + "\n"


def _line(row: Mapping[str, Any]) -> str:
    ours, theirs = (f"{np.mean(row[name]):.{DECIMALS}f}" for name in (MOE, DENSE))
    spread = "" if row["sd"] is None else f"\u00a0±\u00a0{row['sd']:.{DECIMALS}f}"
    pair, _, score = row["score"].rpartition(": ")
    head = f"{pair}: {PARTS[score]}" if pair else HEADS[score]
    return f"| {head} | {ours} | {theirs} | {row['difference']:+.{DECIMALS}f}{spread} |"
