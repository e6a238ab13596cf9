"""All cases, and what comes of them."""

import io
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from battery import (
    alignment,
    checkpoints,
    commands,
    folders,
    keywords,
    models,
    names,
    numbers,
    outputs,
    results,
    rights,
    scales,
    signatures,
)
from battery.judge import Case, Outcome, judge
from battery.world import World

MODULES = (rights, signatures, keywords, models, results, scales, alignment, names, numbers, folders, checkpoints)
MODULES += (outputs, commands)


def cases() -> Iterator[Case]:
    for module in MODULES:
        yield from module.cases()


def outcomes(root: Path, families: Sequence[str] | None = None) -> Iterator[tuple[Case, Outcome]]:
    """Judge the cases one by one."""
    world = World(root)
    for number, case in enumerate(cases()):
        if families is None or case.family in families:
            world.begin(number)
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                outcome = judge(case, world)
            yield case, outcome
