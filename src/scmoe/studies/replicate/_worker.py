"""The process that does the tasks of the replication: ``python -m scmoe.studies.replicate._worker``.

It reads tasks as lines of JSON, writes each result to the file that the line names, and answers with a line. So libraries are
loaded once, and a task that fails ends the process alone.
"""

import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scmoe.datasets._read import read
from scmoe.datasets._write import write
from scmoe.io._files import atomic_path
from scmoe.studies.replicate._methods import fit_folds
from scmoe.studies.replicate._plan import CONFLICT, FIT, Task
from scmoe.studies.replicate._studies import conflict_rows, explained


def perform(task: Task, drawn: Path) -> dict[str, Any]:
    """The result of a task; that of an explanation has its cells in the file `drawn`."""
    mdata = read(task.path)
    if task.study == FIT:
        return fit_folds(mdata, task)
    if task.study == CONFLICT:
        return conflict_rows(mdata, task)
    cells, found = explained(mdata, task)
    write(cells, drawn)
    return found


def main() -> None:
    """Do tasks until there are no more."""
    logging.getLogger("scmoe").setLevel(logging.WARNING)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    for line in sys.stdin:
        asked: Mapping[str, Any] = json.loads(line)
        settings = asked["task"]
        task = Task(**settings | {name: tuple(settings[name]) for name in ("modalities", "epochs")})
        result = perform(task, Path(asked["drawn"]))
        with atomic_path(asked["result"]) as temporary:
            temporary.write_text(json.dumps({"key": task.key} | result) + "\n", encoding="utf-8")
        answers.write("done\n")
        answers.flush()


if __name__ == "__main__":
    main()
