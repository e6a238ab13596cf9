"""What the study of experts runs: one `Task` for each stage, data set, network and seed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scmoe.studies._report import Results
from scmoe.studies._run import Task as BaseTask
from scmoe.studies.experts._arms import ARMS, CONTROLS, DEFAULT, DENSE_TOTAL, LARGER, MIXTURES

SCREENING, CONFIRMATION = "screening", "confirmation"
SCREENING_SEEDS, SEEDS = (100, 101), (0, 1, 2, 3, 4)
"""The settings are chosen with other seeds than those that test them."""
N_CHOSEN = 3
"""Settings that go on to the confirmation, beside the default."""
N_CELLS, N_CELLS_SCREENING, N_CELLS_QUICK = 2000, 1000, 300
"""Of a simulation."""
SIMULATIONS = {
    "1 regime": {"n_regimes": 1},
    "8 regimes": {"n_regimes": 8},
    "32 regimes": {"n_regimes": 32},
    "8 regimes, 4 modalities": {"n_regimes": 8, "n_modalities": 4},
}
SCREENING_SIMULATIONS = ("8 regimes",)
SCREENING_FILES = 2
"""How many of the files take part in the screening, the first ones."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Data of the study.

    Parameters
    ----------
    name
        For tables.
    path
        Of the file; empty for a simulation.
    labels
        Column of ``obs`` with the types, of a file.
    content
        Hash of a file's cells.
    """

    name: str
    path: str = ""
    labels: str = ""
    content: str = ""

    @property
    def is_real(self) -> bool:
        """Whether the cells are measured."""
        return bool(self.path)


@dataclass(frozen=True, kw_only=True)
class Task(BaseTask):
    """One training, whose scores are one file.

    Parameters
    ----------
    stage, source, arm, seed
        What to do.
    path, column, content
        File, column of the types and hash of the source; empty of a simulation.
    n_cells
        Of a simulation.
    more_epochs
        For a network without experts: the usual number of epochs times this, for as much CPU time as a mixture has;
        None: as many steps as any other.
    """

    stage: str
    source: str
    path: str
    column: str
    content: str
    arm: str
    seed: int
    n_cells: int
    more_epochs: float | None = None

    @property
    def method(self) -> str:
        """The network, for tables."""
        return self.arm if self.more_epochs is None else timed(self.arm)

    @property
    def name(self) -> str:
        """For files."""
        text = f"{self.stage} {self.source} {self.method} seed{self.seed}"
        return "-".join("".join(c if c.isalnum() else " " for c in text).split())

    def labels(self) -> dict[str, Any]:
        """The fields that stand in the result, the network's name, and whether the cells are measured."""
        return super().labels() | {"method": self.method, "is_real": bool(self.path)}

    def dependencies(self) -> list[Any]:
        """The model's code, the network's settings and the simulation."""
        return [*super().dependencies(), ARMS[self.arm].settings(), SIMULATIONS.get(self.source)]


def timed(arm: str) -> str:
    """Name of a network that is trained for as long as the slowest mixture."""
    return f"{arm}, equal time"


def screening(sources: Sequence[Source], seeds: Sequence[int], n_cells: int) -> Iterator[Task]:
    """All settings on few data: seeds outermost, so that what is done is a screening too if it is interrupted."""
    files = [source for source in sources if source.is_real][:SCREENING_FILES]
    few = [*files, *(source for source in sources if source.name in SCREENING_SIMULATIONS)]
    for seed in seeds:
        for source in few:
            for arm in ARMS:
                yield task(SCREENING, source, arm, seed, n_cells)


def confirmation(
    sources: Sequence[Source], seeds: Sequence[int], n_cells: int, chosen: Sequence[str], factors: Mapping[str, float]
) -> Iterator[Task]:
    """The default and the chosen settings, and dense networks at equal steps and equal time, on all data."""
    for seed in seeds:
        for source in sources:
            for arm in (*CONTROLS, DEFAULT, *chosen):
                yield task(CONFIRMATION, source, arm, seed, n_cells)
            for arm in CONTROLS:
                yield task(CONFIRMATION, source, arm, seed, n_cells, factors[arm])


def task(stage: str, source: Source, arm: str, seed: int, n_cells: int, more_epochs: float | None = None) -> Task:
    """One training."""
    return Task(
        stage=stage,
        source=source.name,
        path=source.path,
        column=source.labels,
        content=source.content,
        arm=arm,
        seed=seed,
        n_cells=0 if source.is_real else n_cells,
        more_epochs=more_epochs,
    )


def choose(results: Results, n_chosen: int = N_CHOSEN) -> list[str]:
    """The mixtures whose mean Pearson over data and seeds of the screening is highest, besides the default.

    None that is larger than the dense networks.
    """
    means = {arm: gain(results, arm) for arm in MIXTURES if arm != DEFAULT and arm not in LARGER}
    known = {arm: value for arm, value in means.items() if value is not None}
    return sorted(known, key=lambda arm: known[arm], reverse=True)[:n_chosen]


def gain(results: Results, arm: str, score: str = "pearson") -> float | None:
    """Mean difference to the dense network of equal total size, over data and seeds that both have."""
    scores = {(row["arm"], row["source"], row["seed"]): row[score] for row in results}
    pairs = [
        value - scores[DENSE_TOTAL, source, seed]
        for (name, source, seed), value in scores.items()
        if name == arm and (DENSE_TOTAL, source, seed) in scores
    ]
    return float(np.mean(pairs)) if pairs else None


def time_factors(results: Results, chosen: Sequence[str]) -> dict[str, float]:
    """Of each dense network, how many times its epochs fit into the time of the slowest of the mixtures, median."""
    seconds = {(row["arm"], row["source"], row["seed"]): row["seconds"] for row in results}
    factors = {}
    for control in CONTROLS:
        cases = [case for name, *case in seconds if name == control]
        ratios = [
            np.median([seconds[arm, *case] / seconds[control, *case] for case in cases if (arm, *case) in seconds])
            for arm in (DEFAULT, *chosen)
        ]
        factors[control] = round(float(max(ratios)), 2)
    return factors
