"""`run_markers`: errors, power and time of tests of markers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scmoe._version import __version__
from scmoe.arguments._checked import checks_arguments
from scmoe.io._files import check_writable
from scmoe.studies._run import Task, check_distinct, pick_seeds, run_tasks, write_result
from scmoe.studies.markers._report import markers_markdown
from scmoe.studies.markers._tasks import SETTINGS, donors, permuted, power, shuffled, timed

SHUFFLED, DONORS, PERMUTED, TIME = "shuffled", "donors", "permuted", "time"
WITH_TOTALVI = "totalvi-{}"
"""The same cells, of the first seed, by totalVI."""
N_DRAWS, N_DRAWS_QUICK = 200, 3


@dataclass(frozen=True, kw_only=True)
class MarkersTask(Task):
    """One table of one seed."""

    part: str
    seed: int
    quick: bool

    @property
    def name(self) -> str:
        """For files."""
        return f"{self.part}-{self.seed}{'-quick' if self.quick else ''}"


@checks_arguments
def run_markers(output: str | Path, *, seeds: Sequence[int] = (0, 1, 2), quick: bool = False) -> dict[str, Any]:
    """Count what tests of markers call where nothing differs, and what they find where it is known what does.

    On the bundled cells and on simulated ones. Tasks that an earlier call has finished are taken from its folder.

    Parameters
    ----------
    output
        Folder for ``markers.json`` and ``markers.md``.
    seeds
        Of shuffling, thinning, simulation and models.
    quick
        The first seed, short trainings and few permutations, without totalVI: minutes.

    Returns
    -------
    The content of ``markers.json``: ``results``, a list for each task with its ``rows``, and ``settings``.

    Raises
    ------
    ValueError
        No seed is given, or one twice.

    Examples
    --------
    >>> import scmoe
    >>> scmoe.studies.run_markers("scmoe_markers", quick=True)  # doctest: +SKIP
    """
    folder = check_writable(output)
    seeds = pick_seeds(seeds, quick=quick)
    check_distinct(seeds)
    parts = [(part, seed) for part in (SHUFFLED, DONORS, *SETTINGS) for seed in seeds]
    parts += [(part, seeds[0]) for part in (TIME, PERMUTED, *([] if quick else map(WITH_TOTALVI.format, SETTINGS)))]
    tasks = [MarkersTask(part=part, seed=seed, quick=quick) for part, seed in parts]
    results, _ = run_tasks(tasks, folder, perform)
    settings = {"seeds": seeds, "n_draws": N_DRAWS_QUICK if quick else N_DRAWS, "scmoe": __version__}
    result = {"results": results, "settings": settings}
    write_result(folder, "markers", result, markers_markdown(result))
    return result


def perform(task: MarkersTask) -> dict[str, Any]:
    """Do one task."""
    if task.part == SHUFFLED:
        return {"rows": shuffled(task.seed, quick=task.quick)}
    if task.part == DONORS:
        return {"rows": donors(task.seed)}
    if task.part == PERMUTED:
        return {"rows": permuted(task.seed, N_DRAWS_QUICK if task.quick else N_DRAWS)}
    if task.part == TIME:
        return {"rows": timed()}
    setting = task.part.removeprefix(WITH_TOTALVI.format(""))
    return {"rows": power(setting, task.seed, totalvi=setting != task.part, quick=task.quick)}
