"""What is to be run: one `Run` for each task, case, method and seed, and why some cannot be."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import find_spec
from itertools import permutations
from pathlib import Path
from typing import Any

from scmoe._version import __version__
from scmoe.benchmark._methods_scmoe import VARIANTS

EMBED, PREDICT, ANNOTATE = TASKS = ("embed", "predict", "annotate")
FOLDS, BATCHES = "folds", "batches"
"""Cases of `ANNOTATE`: random cells held out, or whole batches (donors)."""
MODEL_FOLDERS = ("pp", "data", "nn", "losses", "train", "model")
PREFIX = "pca_"
METHODS = {
    EMBED: [*VARIANTS, "pca", "pca_unscaled", "snf", "wnn", "mofa", "totalvi", "multivi", "midas"],
    PREDICT: [*VARIANTS, "mean", "ridge", "ridge_unscaled", "kernel_ridge", "knn", "mlp", "totalvi", "midas"],
    ANNOTATE: [*VARIANTS, "logreg", "logreg_balanced"],
}
HEAVY = {"wnn": "muon", "mofa": "mofapy2", "totalvi": "scvi", "multivi": "scvi", "midas": "scmidas"}
"""Methods that need another package, or a minute; left out of quick comparisons."""
KINDS = {"totalvi": ("rna", "protein"), "multivi": ("rna", "peaks")}
PAIRED = ("snf", "wnn", "totalvi", "multivi")
"""Methods for cells that have all modalities."""
MAX_CELLS = {"snf": 15_000, "kernel_ridge": 15_000}
"""Above, their cells x cells matrices do not fit into the memory of a laptop."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One fit (or the folds of one) in a process of its own.

    Parameters
    ----------
    task, method, seed
        What to do.
    case
        The pair of modalities, the kind of folds, or "all cells".
    data
        Path of the file.
    labels, batch
        Columns of ``mdata.obs``.
    source, target
        Modalities of a prediction.
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
        model = [model_code(), VARIANTS[self.method]] if self.method in VARIANTS else []
        text = json.dumps([data_hash, settings, model, __version__], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@cache
def model_code() -> str:
    """Hash of the files that make the model: settings have their defaults there, and who develops it sees no old results."""
    files = sorted(file for folder in MODEL_FOLDERS for file in (Path(__file__).parents[1] / folder).glob("*.py"))
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


def chosen_methods(task: str, modalities: Sequence[str], methods: Sequence[str] | None, *, quick: bool) -> list[str]:
    """The methods of a task, in order: all, those asked for, or those that are quick."""
    known = list(METHODS[task])
    if task == EMBED and len(modalities) > 1:
        after = known.index("pca_unscaled") + 1
        known[after:after] = [PREFIX + name for name in modalities]
    if methods is not None:
        return [name for name in known if name in methods]
    return [name for name in known if not (quick and name in HEAVY)]


def check_methods(modalities: Sequence[str], methods: Sequence[str] | None, tasks: Sequence[str]) -> None:
    """Raise if a task or method is unknown."""
    if unknown := set(tasks) - set(TASKS):
        raise ValueError(f"There is no task {min(unknown)!r}; choose from {', '.join(TASKS)}.")
    known = dict.fromkeys(name for task in TASKS for name in chosen_methods(task, modalities, None, quick=False))
    if unknown := set(methods or ()) - set(known):
        raise ValueError(f"There is no method {min(unknown)!r}; choose from {', '.join(known)}.")


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
    modalities = list(facts.kinds)
    cases: dict[str, list[dict[str, Any]]] = {
        EMBED: [{"case": "all cells"}],
        PREDICT: [{"case": f"{s} → {t}", "source": s, "target": t} for s, t in permutations(modalities, 2)],
        ANNOTATE: [{"case": FOLDS}] + ([{"case": BATCHES}] if facts.n_batches > 1 else []),
    }
    for task in tasks:
        for case in cases[task]:
            for method in chosen_methods(task, modalities, methods, quick=quick):
                for seed in seeds:
                    yield Run(task=task, method=method, seed=seed, data=data, labels=labels, batch=batch, **case)


def reason_to_skip(run: Run, facts: Facts) -> str:
    """Why a run cannot be made; empty if it can."""
    if run.task == EMBED and max(facts.n_labels, facts.n_batches) < 2:
        return "no labels and no batches to score the embedding with"
    if run.task == ANNOTATE and facts.n_labels < 2:
        return "no labels"
    package = HEAVY.get(run.method)
    if package is not None and find_spec(package) is None:
        return f"{package} is not installed"
    if run.method == "midas":
        return "this version has no runner for MIDAS"
    return _unsuited(run, facts)


def _unsuited(run: Run, facts: Facts) -> str:
    kinds = list(facts.kinds.values())
    needed = KINDS.get(run.method, ())
    if any(kinds.count(kind) != 1 for kind in needed):
        return f"needs raw counts of one modality each of {' and '.join(needed)}"
    if needed and (len(kinds) > len(needed)):
        return f"is for {' and '.join(needed)} only"
    if needed and run.task == PREDICT and [facts.kinds[run.source], facts.kinds[run.target]] != list(needed):
        return f"predicts {needed[1]} from {needed[0]} only"
    if run.method in PAIRED and run.task == EMBED and not facts.complete:
        return "needs every modality in every cell"
    if run.method in ("snf", "wnn") and len(kinds) < 2:
        return "needs two modalities"
    limit = MAX_CELLS.get(run.method)
    return f"more than {limit} cells" if limit is not None and facts.n_cells > limit else ""
