"""What is to be run: one `Run` for each task, case, method and seed, and why some cannot be."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import permutations
from pathlib import Path

from scmoe._version import __version__
from scmoe.benchmark.methods._scmoe import ALWAYS, EMBEDDING_PARTS, GROUPS, VARIANTS, Variant

EMBED, PREDICT, ANNOTATE, MOSAIC = TASKS = ("embed", "predict", "annotate", "mosaic")
FOLDS, BATCHES = "folds", "batches"
"""Cases of `ANNOTATE`: random cells held out, or whole batches (donors); also, "{modality} only"."""
MODEL_FOLDERS = ("pp", "data", "tokens", "nn", "losses", "train", "readout", "model")
PREFIX = "pca_"
METHODS = {
    EMBED: [*VARIANTS, *EMBEDDING_PARTS, "pca", "pca_unscaled", "snf", "wnn", "mofa", "totalvi", "multivi", "midas"],
    PREDICT: [*VARIANTS, "mean", "ridge", "ridge_unscaled", "kernel_ridge", "knn", "mlp", "totalvi", "midas"],
    ANNOTATE: [*VARIANTS, "logreg", "logreg_balanced"],
    MOSAIC: [*VARIANTS, "mean", "ridge", "knn", "midas"],
}
HEAVY = {"wnn": "muon", "mofa": "mofapy2", "totalvi": "scvi", "multivi": "scvi", "midas": "scmidas"}
"""Methods that need another package, or minutes; left out of quick comparisons, and one seed of them for many cells."""
MANY_CELLS = 5000


@dataclass(frozen=True, kw_only=True)
class Run:
    """One fit (or the folds of one) in a process of its own.

    Parameters
    ----------
    task, method, seed
        What to do.
    case
        The modalities, the kind of folds, or "all cells".
    data
        Path of the file.
    labels, batch
        Columns of ``mdata.obs``.
    source, target
        Modalities of a prediction; those of a mosaic; the one modality that an annotation sees, empty for all.
    """

    task: str
    method: str
    seed: int
    case: str
    data: str
    labels: str | None = None
    batch: str | None = None
    source: str = ""
    target: str = ""

    @property
    def name(self) -> str:
        """For files."""
        return "-".join((self.task, *self.case.replace("→", "to").split(), self.method, f"seed{self.seed}"))

    def key(self, data_hash: str) -> str:
        """Hash of all that the result depends on: data, settings, defaults of the model, version."""
        settings = {name: value for name, value in asdict(self).items() if name != "data"}
        ours = self.method in VARIANTS or self.method in EMBEDDING_PARTS
        model = [model_code(), asdict(VARIANTS.get(self.method, Variant()))] if ours else []
        text = json.dumps([data_hash, settings, model, __version__], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@cache
def model_code() -> str:
    """Hash of the files that make the model: settings have their defaults there, and who develops it sees no old results."""
    files = sorted(file for folder in MODEL_FOLDERS for file in (Path(__file__).parents[1] / folder).rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What decides which methods can be run on the data.

    Parameters
    ----------
    kinds
        Kind of each modality (see `scmoe.pp.prepare`).
    n_cells
        Number of cells.
    complete
        Whether every cell has every modality.
    n_labels, n_batches
        Numbers of different ones.
    """

    kinds: dict[str, str]
    n_cells: int
    complete: bool
    n_labels: int
    n_batches: int


def chosen_methods(task: str, kinds: Mapping[str, str], methods: Sequence[str] | None, *, quick: bool) -> list[str]:
    """The methods of a task, in order: those run by default, those asked for (by name or group), or those that are quick."""
    known = list(METHODS[task])
    if task == EMBED and len(kinds) > 1:
        after = known.index("pca_unscaled") + 1
        known[after:after] = [PREFIX + name for name in kinds]
    if task == MOSAIC and len(kinds) > 1:
        known.append(PREFIX + mosaic_pair(kinds)[0])
    if methods is not None:
        asked = {name for method in methods for name in GROUPS.get(method, [method])}
        return [name for name in known if name in asked]
    usual = [name for name in known if name in ALWAYS or name not in VARIANTS]
    return [name for name in usual if not (quick and name in HEAVY)]


def check_methods(kinds: Mapping[str, str], methods: Sequence[str] | None, tasks: Sequence[str]) -> None:
    """Raise if a task or method is unknown."""
    if unknown := set(tasks) - set(TASKS):
        raise ValueError(f"There is no task {min(unknown)!r}; choose from {', '.join(TASKS)}.")
    usual = [name for task in TASKS for name in chosen_methods(task, kinds, None, quick=False)]
    known = dict.fromkeys([*usual, *VARIANTS, *GROUPS])
    if unknown := set(methods or ()) - set(known):
        raise ValueError(f"There is no method {min(unknown)!r}; choose from {', '.join(known)}.")


def mosaic_pair(kinds: Mapping[str, str]) -> list[str]:
    """The modalities in their order, RNA first."""
    return sorted(kinds, key=lambda name: kinds[name] != "rna")


def cases_of(task: str, facts: Facts) -> list[dict[str, str]]:
    """What a task is done for: name of the case, and the modalities it is about."""
    names = list(facts.kinds)
    if task == PREDICT:
        return [{"case": f"{s} → {t}", "source": s, "target": t} for s, t in permutations(names, 2)]
    if task == ANNOTATE:
        alone = [{"case": f"{name} only", "source": name} for name in names] if len(names) > 1 else []
        return [{"case": FOLDS}, *([{"case": BATCHES}] if facts.n_batches > 1 else []), *alone]
    if task == MOSAIC and len(names) == 2:
        first, second = mosaic_pair(facts.kinds)
        return [{"case": f"{first} and {second}", "source": first, "target": second}]
    return [{"case": "all cells"}]


def plan(
    facts: Facts,
    data: str,
    labels: str | None,
    batch: str | None,
    *,
    methods: Sequence[str] | None,
    tasks: Sequence[str],
    seeds: Sequence[int],
    quick: bool,
) -> Iterator[Run]:
    """All runs, possible or not."""
    for task in tasks:
        for case in cases_of(task, facts):
            for method in chosen_methods(task, facts.kinds, methods, quick=quick):
                once = method in HEAVY and facts.n_cells > MANY_CELLS
                for seed in seeds[:1] if once else seeds:
                    yield Run(task=task, method=method, seed=seed, data=data, labels=labels, batch=batch, **case)
