"""What is to be run: one `Run` for each task, case, method and seed, and why some cannot be."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib.util import find_spec
from itertools import permutations
from pathlib import Path
from typing import Any

from scmoe._version import __version__
from scmoe.benchmark._inputs import (
    ANNOTATE,
    BATCHES,
    EMBED,
    FOLDS,
    MAP,
    MOSAIC,
    PREDICT,
    TASKS,
    Facts,
    Run,
    mosaic_pair,
)
from scmoe.benchmark.methods._method import Method
from scmoe.benchmark.methods._registry import METHODS, method_of, methods_of
from scmoe.benchmark.methods._scmoe import GROUPS

MODEL_FOLDERS = ("io", "pp", "data", "tokens", "nn", "losses", "train", "readout", "model")
MANY_CELLS = 5000
"""With more, methods that take minutes have the first seed only."""


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
            for method in select_methods(task, facts.kinds, methods, quick=quick):
                once = method.slow and facts.n_cells > MANY_CELLS
                for seed in seeds[:1] if once else seeds:
                    yield Run(task=task, method=method.name, seed=seed, data=data, labels=labels, batch=batch, **case)


def cases_of(task: str, facts: Facts) -> list[dict[str, Any]]:
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
    return [{"case": "new cells" if task == MAP else "all cells"}]


def select_methods(
    task: str, kinds: Mapping[str, str], names: Sequence[str] | None, *, quick: bool = False
) -> list[Method]:
    """The methods of a task, in order: those with these names or of these groups, or those run by default."""
    methods = methods_of(task, kinds)
    if names is not None:
        members = {member for name in names for member in GROUPS.get(name, [name])}
        return [method for method in methods if method.name in members]
    return [method for method in methods if not method.on_request and not (quick and method.slow)]


def check_methods(kinds: Mapping[str, str], names: Sequence[str] | None, tasks: Sequence[str]) -> None:
    """Raise if a task or method is unknown."""
    if unknown := set(tasks) - set(TASKS):
        raise ValueError(f"There is no task {min(unknown)!r}; choose from {', '.join(TASKS)}.")
    defaults = [method.name for task in TASKS for method in select_methods(task, kinds, None)]
    choices = dict.fromkeys([*defaults, *METHODS, *GROUPS])
    if unknown := set(names or ()) - set(choices):
        raise ValueError(f"There is no method {min(unknown)!r}; choose from {', '.join(choices)}.")


def reason_to_skip(run: Run, facts: Facts) -> str:
    """Why a run cannot be made; empty if it can."""
    method = method_of(run.method)
    if run.n_cells is not None and run.task not in (MAP, PREDICT):
        return f"a number of cells to fit on is for {MAP} and {PREDICT}"
    if run.labels_per_type is not None and run.task != ANNOTATE:
        return f"a number of labels a type is for {ANNOTATE}"
    if run.task == EMBED and max(facts.n_labels, facts.n_batches) < 2:
        return "no labels and no batches to score the embedding with"
    if run.task == MAP and method.map_query is None:
        return "embeds only the cells that it is fitted on"
    if facts.n_labels < 2 and (run.task == ANNOTATE or (run.task == MOSAIC and not method.predict)):
        return "no labels"
    if run.task == MOSAIC and not (facts.complete and len(facts.kinds) == 2):
        return "needs two modalities, both in every cell"
    return method.unsuited(run, facts) or _absent_package(method)


def _absent_package(method: Method) -> str:
    packages = (library.partition(".")[0] for library in method.libraries)
    return next((f"{package} is not installed" for package in packages if find_spec(package) is None), "")


def result_key(run: Run, data_hash: str) -> str:
    """Hash of all that a result depends on: data, settings, version; of a model of ours also its defaults and code."""
    settings = {name: value for name, value in asdict(run).items() if name != "data"}
    own = method_of(run.method).settings
    model = [] if own is None else [model_code(), dict(own)]
    text = json.dumps([data_hash, settings, model, __version__], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def model_code() -> str:
    """Hash of the files that make the model: they hold its defaults, and a developer of it must see no old results."""
    files = sorted(file for folder in MODEL_FOLDERS for file in (Path(__file__).parents[1] / folder).rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
