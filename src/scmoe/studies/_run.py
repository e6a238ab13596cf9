"""How every study runs: tasks with keys, results that are reused, one thread, worker processes, and files of output."""

import hashlib
import json
import logging
import os
import platform
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Self, TypeVar

from scmoe._log import logger
from scmoe._version import __version__
from scmoe.benchmark._kept import kept_result, write_text
from scmoe.benchmark._plan import model_code
from scmoe.benchmark._run import ONE_THREAD
from scmoe.io._files import check_writable
from scmoe.nn._threads import threads_kept

RUNS, TABLES, FIGURES = "runs", "tables", "figures"
"""Folders of the results of tasks, of tables and of figures, in the output folder."""
Result = dict[str, Any]
UNREPORTED = ("path", "content", "size")
"""Fields of tasks that do not stand in their results."""


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """One unit of work of a study, whose result is one file; a study adds the fields that say what to do."""

    @property
    @abstractmethod
    def name(self) -> str:
        """For files."""

    def dependencies(self) -> list[Any]:
        """What the result depends on besides the fields of the task and the version."""
        return [model_code()]

    def labels(self) -> Result:
        """The fields that stand in the result."""
        return {name: value for name, value in asdict(self).items() if name not in UNREPORTED}

    @property
    def key(self) -> str:
        """Hash of all that the result depends on; not of the path of the data, whose content counts."""
        settings = {name: value for name, value in asdict(self).items() if name != "path"}
        text = json.dumps([settings, self.dependencies(), __version__], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


AnyTask = TypeVar("AnyTask", bound=Task)


class TaskFailed(RuntimeError):
    """A task could not be done; the study goes on without it."""


def run_tasks(
    tasks: Sequence[AnyTask],
    folder: Path,
    perform: Callable[[AnyTask], Mapping[str, Any]],
    *,
    reason_to_skip: Callable[[AnyTask], str] = lambda task: "",
    is_complete: Callable[[AnyTask], bool] = lambda task: True,
) -> tuple[list[Result], list[Result]]:
    """Do all tasks, but take results of an earlier start with the same key.

    Parameters
    ----------
    tasks
        In the order in which they are done.
    folder
        Of the study's output; results are stored in its folder ``runs``.
    perform
        Task to result; may raise `TaskFailed`.
    reason_to_skip
        Why a task cannot be done; empty if it can.
    is_complete
        Whether the files that belong to a stored result are there.

    Returns
    -------
    Results with the labels of their tasks, and the labels of tasks without a result, with the reason.
    """
    results: list[Result] = []
    skipped: list[Result] = []
    runs = check_writable(folder / RUNS)
    for number, task in enumerate(tasks, start=1):
        title = f"[{number}/{len(tasks)}] {task.name}"
        reason = reason_to_skip(task)
        if not reason:
            try:
                results.append(task.labels() | _result(task, runs, perform, is_complete, title))
            except TaskFailed as error:
                reason = str(error)
        if reason:
            logger.warning("%s: skipped: %s", title, reason)
            skipped.append(task.labels() | {"reason": reason})
    return results, skipped


def _result(
    task: AnyTask,
    runs: Path,
    perform: Callable[[AnyTask], Mapping[str, Any]],
    is_complete: Callable[[AnyTask], bool],
    title: str,
) -> Result:
    file = runs / f"{task.name}.json"
    stored = kept_result(file, task.key)
    if stored is not None and is_complete(task):
        logger.info("%s: kept", title)
        return stored
    start = time.perf_counter()
    with single_thread():  # other libraries raise torch's number of threads
        text = json.dumps({"key": task.key, **perform(task)})
    write_text(file, text + "\n")
    logger.info("%s: done in %.0f s", title, time.perf_counter() - start)
    # Read back, so that a new result is the same as a stored one: tuples are lists, keys are text.
    return {name: value for name, value in json.loads(text).items() if name != "key"}


class Worker(AbstractContextManager["Worker"]):
    """A process that does tasks one after another, so that libraries are loaded once.

    A task that fails ends the process alone, and the next one starts another.

    Parameters
    ----------
    module
        Name of the module to run, which calls `serve`.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._process: subprocess.Popen[str] | None = None
        self._messages: IO[str] | None = None

    def perform(self, task: Task, **options: str) -> Result:
        """Do a task; raises `TaskFailed` with the last line that the process wrote."""
        process, messages = self._start()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps({"task": asdict(task), **options}) + "\n")
        process.stdin.flush()
        if answer := process.stdout.readline():
            return json.loads(answer)
        code = process.wait()
        messages.seek(0)
        lines = messages.read().strip().splitlines() or [f"exit code {code}"]
        self.close()
        raise TaskFailed(f"failed: {lines[-1]}")

    def _start(self) -> tuple[subprocess.Popen[str], IO[str]]:
        if self._process is None or self._messages is None:
            self._messages = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module],
                env=os.environ | ONE_THREAD,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._messages,
                text=True,
            )
        return self._process, self._messages

    def close(self) -> None:
        """End the process."""
        if self._process is not None and self._messages is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout, self._messages):
                if stream is not None:
                    stream.close()
        self._process = self._messages = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def serve(perform: Callable[[Result], Mapping[str, Any]]) -> None:
    """Do the tasks of a `Worker` until there are no more: a line of JSON in, a line of JSON out."""
    logging.getLogger("scmoe").setLevel(logging.WARNING)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    for line in sys.stdin:
        answers.write(json.dumps(perform(json.loads(line))) + "\n")
        answers.flush()


def single_thread() -> AbstractContextManager[None]:
    """One thread for torch, and afterwards as many as before."""
    return threads_kept(1)


def processor() -> str:
    """Name of the processor, as far as the system says."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def pick_seeds(seeds: Sequence[int], *, quick: bool, n_quick: int = 1) -> list[int]:
    """All seeds, or the first ones if quick; there must be one."""
    picked = list(seeds)[: n_quick if quick else None]
    if not picked:
        raise ValueError("seeds must name at least one; found none.")
    return picked


def check_distinct(seeds: Sequence[int]) -> None:
    """Raise if a seed is given twice: results are files with the seed in their names."""
    if repeated := [seed for seed in seeds if seeds.count(seed) > 1]:
        raise ValueError(f"Seed {repeated[0]} is given twice; name each once.")


def write_result(folder: Path, name: str, result: Mapping[str, Any], markdown: str, *, indent: int = 1) -> None:
    """Write ``name.json`` and ``name.md``, each whole or not at all."""
    write_text(folder / f"{name}.json", json.dumps(result, indent=indent) + "\n")
    write_text(folder / f"{name}.md", markdown)


def write_tables(folder: Path, sections: Mapping[str, str]) -> None:
    """Write each section of a report to a file in ``tables``."""
    tables = check_writable(folder / TABLES)
    for name, text in sections.items():
        write_text(tables / f"{name}.md", text)
