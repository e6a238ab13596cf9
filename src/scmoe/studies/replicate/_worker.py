"""The process that does the tasks of the replication: ``python -m scmoe.studies.replicate._worker``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scmoe.datasets._read import read
from scmoe.datasets._write import write
from scmoe.studies._run import serve
from scmoe.studies.replicate._methods import fit_folds
from scmoe.studies.replicate._plan import CONFLICT, FIT, Task
from scmoe.studies.replicate._studies import conflict_rows, explained


def perform(request: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a task; that of an explanation has its cells in the file ``request["cells"]``."""
    settings = request["task"]
    task = Task(**settings | {name: tuple(settings[name]) for name in ("modalities", "epochs")})
    mdata = read(task.path)
    if task.study == FIT:
        return fit_folds(mdata, task)
    if task.study == CONFLICT:
        return conflict_rows(mdata, task)
    cells, result = explained(mdata, task)
    write(cells, Path(request["cells"]))
    return result


if __name__ == "__main__":
    serve(perform)
