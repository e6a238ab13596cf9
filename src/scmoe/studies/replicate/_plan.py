"""What the replication runs: one `Task` for each study, data, set of modalities, method and seed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import combinations
from typing import Any

from scmoe.studies._run import Task as BaseTask
from scmoe.studies.replicate._data import GRN, N_FOLDS, Source
from scmoe.studies.replicate._forms import (
    ABLATIONS,
    DENSE,
    FORMS,
    IDENTIFICATION,
    OURS,
    PAPER,
    PREDICTION,
    REFERENCE,
    settings_of,
)

FIT, CONFLICT, EXPLAIN = "fit", "conflict", "explain"
ALL_FOUR = ("dna", "pre", "rna", "protein")
GRN_SETS = (("pre", "rna"), ("rna", "protein"), ("dna", "rna"), ALL_FOUR)
"""The paper's combinations, in its order."""
ABLATION_SETS = (("pre", "rna"), ALL_FOUR)
"""Of dense layers; of all other changes the first one."""
PCA, RIDGE, MOFA, WNN, TOTALVI, TOTALVI_R2 = "pca", "ridge", "mofa", "wnn", "totalvi", "totalvi_r2"
UNITEDNET, SCHEMA = "unitednet", "schema"
METHODS = (
    OURS,
    REFERENCE,
    IDENTIFICATION,
    PREDICTION,
    PAPER,
    UNITEDNET,
    PCA,
    RIDGE,
    SCHEMA,
    MOFA,
    WNN,
    TOTALVI,
    TOTALVI_R2,
)
TRAINED = (*FORMS, UNITEDNET)
"""Networks whose epochs a smaller study limits."""
TRANSDUCTIVE = (SCHEMA, MOFA, WNN, TOTALVI)
"""Fitted to all cells, test cells among them."""
PACKAGES = {SCHEMA: ("schema",), MOFA: ("muon", "mofapy2"), WNN: ("muon",), TOTALVI: ("scvi",), TOTALVI_R2: ("scvi",)}
ONE_FOLD = (PAPER, TOTALVI_R2)
CONFLICT_FORMS = (REFERENCE, OURS)
SEEDS, REAL_SEEDS = (0, 1, 2, 3, 4), (0,)
SLOW = {WNN: len(SEEDS), TOTALVI: 3, TOTALVI_R2: 3}
"""Seeds of methods that take minutes."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is run; the methods are the same at any size.

    Parameters
    ----------
    n_folds
        Of the 5 folds, how many are run with each seed; one of them of ablations and the paper's form.
    max_epochs
        Of a form of scMoE or the UnitedNet-style network; None: as these say.
    conflict_epochs
        After which gradients are compared.
    sets
        Sets of modalities of the dense layers.
    slow_sets
        Sets of modalities that slow methods are run on; None: all.
    slow_seeds
        How many seeds of each.
    """

    n_folds: int = N_FOLDS
    max_epochs: int | None = None
    conflict_epochs: tuple[int, ...] = (5, 20, 60)
    sets: tuple[tuple[str, ...], ...] = ABLATION_SETS
    slow_sets: tuple[tuple[str, ...], ...] | None = None
    slow_seeds: Mapping[str, int] = field(default_factory=lambda: SLOW)


FULL = Size()
QUICK = Size(
    n_folds=1,
    max_epochs=20,
    conflict_epochs=(10,),
    sets=ABLATION_SETS[:1],
    slow_sets=(("rna", "protein"),),
    slow_seeds={WNN: 1, TOTALVI: 1, TOTALVI_R2: 0},
)


@dataclass(frozen=True, kw_only=True)
class Task(BaseTask):
    """One unit of work, whose result is one file.

    Parameters
    ----------
    study
        `FIT`: train on the training cells of every fold and score the test cells; `CONFLICT`: gradients during the
        training; `EXPLAIN`: a model to draw.
    source, path, content
        Name, file and hash of the data.
    modalities, method, seed
        What to do.
    n_folds, max_epochs, epochs
        How much; see `Size`.
    """

    study: str
    source: str
    path: str
    content: str
    modalities: tuple[str, ...]
    method: str
    seed: int
    n_folds: int = 1
    max_epochs: int | None = None
    epochs: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """For files."""
        method = self.method.replace(":", "").replace(",", "").replace("=", "").split()
        return "-".join((self.study, self.source, "+".join(self.modalities), *method, f"seed{self.seed}"))

    def dependencies(self) -> list[Any]:
        """The model's code and the form; nothing for other methods, whose results do not change with the model."""
        return [*super().dependencies(), settings_of(FORMS[self.method])] if self.method in FORMS else []


def sets_of(source: Source) -> list[tuple[str, ...]]:
    """Sets of modalities: the paper's for the simulation, else all pairs and all."""
    if source.name == GRN:
        return list(GRN_SETS)
    names = tuple(source.kinds)
    return [*combinations(names, 2), *([names] if len(names) > 2 else [])]


def plan(sources: Sequence[Source], size: Size) -> Iterator[Task]:
    """All tasks, possible or not: fast methods and main tables first."""
    for method in METHODS:
        for source in sources:
            for modalities in sets_of(source):
                for seed in source.seeds:
                    if _is_run(method, source, modalities, seed, sources, size):
                        n_folds = 1 if method in ONE_FOLD else size.n_folds
                        yield _task(FIT, source, modalities, method, seed, n_folds, size)
    simulated = [source for source in sources if source.name == GRN]
    for ablations in ABLATIONS.values():
        for method in ablations:
            is_dense = method.split(": ")[1] in DENSE
            for modalities in size.sets if is_dense else size.sets[:1]:
                for source in simulated:
                    yield _task(FIT, source, modalities, method, source.seeds[0], 1, size)
    for method in CONFLICT_FORMS:
        for source in simulated:
            yield _task(CONFLICT, source, ALL_FOUR, method, source.seeds[0], 1, size)
    for method in CONFLICT_FORMS:
        yield _task(EXPLAIN, simulated[0], ALL_FOUR, method, simulated[0].seeds[0], 1, size)


def _is_run(
    method: str, source: Source, modalities: tuple[str, ...], seed: int, sources: Sequence[Source], size: Size
) -> bool:
    if method not in SLOW:
        return True
    all_seeds = [number for other in sources if other.name == source.name for number in other.seeds]
    return seed in all_seeds[: size.slow_seeds[method]] and (size.slow_sets is None or modalities in size.slow_sets)


def _task(
    study: str, source: Source, modalities: tuple[str, ...], method: str, seed: int, n_folds: int, size: Size
) -> Task:
    return Task(
        study=study,
        source=source.name,
        path=source.path,
        content=source.content,
        modalities=modalities,
        method=method,
        seed=seed,
        n_folds=n_folds,
        max_epochs=size.max_epochs if method in TRAINED and study != CONFLICT else None,
        epochs=size.conflict_epochs if study == CONFLICT else (),
    )


def reason_to_skip(task: Task, kinds: dict[str, str]) -> str:
    """Why a task cannot be done; empty if it can."""
    missing = [name for name in PACKAGES.get(task.method, ()) if find_spec(name) is None]
    if missing:
        return f"{missing[0]} is not installed"
    if task.method in (TOTALVI, TOTALVI_R2) and sorted(kinds[name] for name in task.modalities) != ["protein", "rna"]:
        return "needs raw counts of one modality each of rna and protein"
    return ""
