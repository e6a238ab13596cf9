"""`run_experts`: do sparse experts pay where cells differ in kind?"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mudata import MuData

from scmoe._log import logger
from scmoe._version import __version__
from scmoe.arguments._checked import checks_arguments
from scmoe.benchmark._baselines import dense
from scmoe.benchmark._cells import subset
from scmoe.benchmark._new_cells import TRAIN_SIZE
from scmoe.benchmark._scores import neighbor_scores
from scmoe.benchmark.methods._scmoe import ALWAYS, fit, predicted
from scmoe.datasets._read import read
from scmoe.io._files import check_writable
from scmoe.metrics._features import feature_scores
from scmoe.pp._prepare import prepare
from scmoe.studies._report import markdown_table, plus_minus
from scmoe.studies._run import pick_seeds, single_thread, write_result
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

MOE, DENSE = ALWAYS
N_CELLS, N_CELLS_QUICK = 4000, 600
DECIMALS = 3
HEADS = {
    "knn_accuracy": "regimes by 15 neighbors, accuracy",
    "router_modality": "top expert and modality, mutual information",
    "router_regime": "top expert and regime, mutual information",
}
PARTS = {"pearson": "Pearson", "r2": "R²", "pearson_network": "Pearson, network alone"}


@checks_arguments
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
    The content of ``experts.json``: ``rows``, each with section, score, the values of both models by seed, and mean
    and standard deviation of their paired difference; ``settings``; and ``ceiling``, the Pearson correlation of the
    simulated second modality with its values before the noise.

    Raises
    ------
    ValueError
        The file has no RNA, or no seed is given.

    Examples
    --------
    >>> table = scmoe.studies.run_experts("experts", quick=True)  # doctest: +SKIP
    """
    folder = check_writable(output)
    seeds = pick_seeds(seeds, quick=quick)
    n_cells = N_CELLS_QUICK if quick else N_CELLS
    with single_thread():
        sections = {}
        if data is not None:  # first: a file that cannot be read is said before the work
            mdata = read(data)
            prepare(mdata)
            sections[f"gene programs of {Path(data).name}"] = [halves_of_programs(mdata, seed) for seed in seeds]
        simulations = [simulate_regimes(n_cells, seed) for seed in seeds]
        ceiling = float(np.mean([_ceiling(mdata) for mdata in simulations]))
        rows = [
            row
            for section, parts in {"simulated regimes": simulations, **sections}.items()
            for row in _compare(section, parts, seeds)
        ]
    settings = {"n_cells": n_cells, "seeds": seeds, "scmoe": __version__}
    result = {"rows": rows, "ceiling": ceiling, "settings": settings}
    write_result(folder, "experts", result, experts_markdown(result), indent=2)
    return result


def _ceiling(mdata: MuData) -> float:
    """Correlation of the second modality with its values before the noise, which no prediction can surpass."""
    second = mdata.mod[SECOND]
    return float(feature_scores(second.X, second.layers["clean"])["pearson"].mean())


def _compare(section: str, data: Sequence[MuData], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each score, with the values of both models by seed."""
    scores: dict[str, list[dict[str, float]]] = {MOE: [], DENSE: []}
    for mdata, seed in zip(data, seeds, strict=True):
        for method, of_seeds in scores.items():
            logger.info("%s, %s, seed %d", section, method, seed)
            of_seeds.append(experts_scores(method, mdata, seed))
    names = list(scores[MOE][0])
    return [_row(section, name, *([row[name] for row in scores[method]] for method in (MOE, DENSE))) for name in names]


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
        rows = [_cells(row) for row in result["rows"] if row["section"] == section]
        parts.append(markdown_table([section, MOE, DENSE, "difference"], rows))
    settings = result["settings"]
    parts.append(
        f"Seeds {', '.join(map(str, settings['seeds']))}; the difference is the mean over runs with the same seed, "
        f"with its standard deviation. {MOE}: the defaults; {DENSE}: one dense layer of equal active size. A fifth of "
        "the cells are held out. Mutual information is that of the most used expert of a cell's modality, divided by "
        "the entropy of what it is compared with (of regimes: within each modality); a dense layer has none. "
        f"Simulated: {settings['n_cells']} cells of {N_REGIMES} regimes, each with its own nonlinear map from the "
        "first modality to the second; the second before the noise was added has a Pearson of "
        f"{result['ceiling']:.{DECIMALS}f} with itself after. Gene programs, if any: {N_PROGRAMS} components of the "
        f"RNA, alternately in the first and in the second modality; regimes are {N_REGIMES} k-means clusters of them."
    )
    return "\n\n".join(parts) + "\n"


def _cells(row: Mapping[str, Any]) -> list[str]:
    pair, _, score = row["score"].rpartition(": ")
    head = f"{pair}: {PARTS[score]}" if pair else HEADS[score]
    means = [f"{np.mean(row[name]):.{DECIMALS}f}" for name in (MOE, DENSE)]
    return [head, *means, plus_minus(row["difference"], row["sd"], DECIMALS, sign=True)]
