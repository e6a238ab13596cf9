"""What a killed process leaves behind, and two processes in one folder."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scmoe.io import _leftovers, _lock
from scmoe.io._files import WriteError, atomic_dir, atomic_path, check_writable
from scmoe.io._leftovers import backup_of, temporary_of
from scmoe.io._lock import LOCK, sole_run

WRITE = """
import os, signal, sys, time
from pathlib import Path
from scmoe.io._files import atomic_dir, atomic_path
from scmoe.io._lock import sole_run
folder = Path(sys.argv[1])
with sole_run(folder), atomic_path(folder / "a.txt") as file, atomic_dir(folder / "model", overwrite=True) as new:
    file.write_text("half")
    (new / "half").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def ended() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def writer(tmp_path):
    """A process in the middle of writing."""
    process = subprocess.Popen([sys.executable, "-c", WRITE, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_killed_process_leaves_nothing_that_stays(writer, tmp_path):
    (tmp_path / ".scmoe-notes").write_text("mine")
    check_writable(tmp_path)
    assert len(names(tmp_path)) == 4  # what a living process writes is left alone
    with pytest.raises(WriteError, match=rf"Another process \(number {writer.pid} on .*\) is writing to .*Wait until"):
        with sole_run(tmp_path):
            pass
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    with sole_run(tmp_path):
        assert names(tmp_path) == [".scmoe-notes", LOCK]
    assert names(tmp_path) == [".scmoe-notes"]


def test_what_was_put_aside_comes_back(tmp_path, monkeypatch, ended):
    """The process was killed between moving the older model away and moving the newer one there."""
    monkeypatch.setattr(os, "getpid", lambda: ended)
    old, new = backup_of(tmp_path / "model"), temporary_of(tmp_path / "model")
    monkeypatch.undo()
    for folder, text in ((old, "old"), (new, "new")):
        folder.mkdir()
        (folder / "a").write_text(text)
    check_writable(tmp_path)
    assert names(tmp_path) == ["model"] and (tmp_path / "model" / "a").read_text() == "old"


def test_what_another_machine_writes_is_left_alone(tmp_path, monkeypatch, ended):
    monkeypatch.setattr(os, "getpid", lambda: ended)
    monkeypatch.setattr(_leftovers.platform, "node", lambda: "elsewhere")
    path = temporary_of(tmp_path / "a.txt")
    monkeypatch.undo()
    path.write_text("half")
    check_writable(tmp_path)
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("when", ["before", "between"])
def test_an_interrupted_swap_keeps_the_older_folder(tmp_path, monkeypatch, when):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a").write_text("old")
    rename, calls = os.rename, []

    def interrupted(source, target):
        calls.append(source)
        if len(calls) == (1 if when == "before" else 2):
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), atomic_dir(tmp_path / "model", overwrite=True) as new:
        (new / "a").write_text("new")
    assert names(tmp_path) == ["model"] and (tmp_path / "model" / "a").read_text() == "old"


def test_a_drive_without_locks_is_used_without(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(_lock.fcntl, "flock", unsupported)
    with sole_run(tmp_path), sole_run(tmp_path):
        pass
    assert names(tmp_path) == []


def hold(folder: Path, n: int) -> None:
    """Take the lock `n` times, and see that nobody else has it."""
    done = 0
    while done < n:
        try:
            with sole_run(folder):
                os.close(os.open(folder / "mine", os.O_CREAT | os.O_EXCL))
                (folder / "mine").unlink()
                done += 1
        except WriteError:
            pass


def test_two_processes_never_hold_a_lock_together(tmp_path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=hold, args=(tmp_path, 50)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0, 0]


@pytest.mark.parametrize("name", ["x" * 250, "x" * 240 + ".h5mu"])
def test_long_names_are_written(tmp_path, name):
    with atomic_path(tmp_path / name) as file:
        file.write_text("whole")
    assert names(tmp_path) == [name]
