"""Processes that a training starts: what they need of the one that started them, and what they leave it."""

import builtins
import multiprocessing
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

from scmoe.train._plan import TrainingPlan
from scmoe.train._quiet import quieten

GONE = re.compile("Connection closed by peer|Connection reset by peer|Broken pipe|[Tt]imed? ?out|NCCL")
"""What the libraries say when another process does not answer."""
FRAME = '\n  File "'
"""Begins each step of a traceback; the error is the first line after the last one that is not indented."""


class Handover(Callback):
    """Brings what training leaves besides weights, which Lightning brings, from a process to the one that started it.

    Parameters
    ----------
    path
        A file, to which the first process on a machine writes it.
    n_threads
        Of each process on a CPU; None: as Lightning chooses.
    callbacks
        Whose states are brought.
    """

    def __init__(self, path: Path, n_threads: int | None, callbacks: Sequence[Callback]) -> None:
        self.path, self.n_threads, self.callbacks = path, n_threads, callbacks

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Be quiet: a process that does not inherit it reads its callbacks before all else."""
        vars(self).update(state)
        quieten()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Compute as the process that started this one; Lightning has chosen threads by itself.

        A forked process has none of the threads of the one before, and would wait for them forever.
        """
        n_threads = 1 if is_forked() else self.n_threads
        if n_threads is not None:
            torch.set_num_threads(n_threads)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write."""
        assert isinstance(pl_module, TrainingPlan)
        is_child = trainer.world_size > 1 and multiprocessing.parent_process() is not None
        if is_child and trainer.local_rank == 0:
            states = [callback.state_dict() for callback in self.callbacks]
            progress = {"history": pl_module.history, "n_skipped": pl_module.n_skipped, "n_steps": trainer.global_step}
            torch.save({**progress, "callbacks": states}, self.path)

    def take(self, trainer: Trainer, plan: TrainingPlan) -> int:
        """Give plan and callbacks of this process what was written; the number of steps."""
        if not self.path.exists():  # this process has trained itself
            return trainer.global_step
        state = torch.load(self.path, map_location="cpu", weights_only=False)
        plan.history, plan.n_skipped = state["history"], state["n_skipped"]
        for callback, own in zip(self.callbacks, state["callbacks"], strict=True):
            callback.load_state_dict(own)
        return int(state["n_steps"])


def is_forked() -> bool:
    """Whether Python's multiprocessing has made this process as a copy of another one."""
    if "fork" not in multiprocessing.get_all_start_methods():
        return False
    return isinstance(multiprocessing.current_process(), multiprocessing.get_context("fork").Process)


@contextmanager
def errors_of_others(hint: str) -> Iterator[None]:
    """Errors of a process that this one started, as its own; and one that says what to do where a process has died.

    Parameters
    ----------
    hint
        How to go on.
    """
    try:
        yield
    except ProcessRaisedException as error:
        raise _own(error, hint) from error
    except ProcessExitedException as error:
        cause = f" ({error.signal_name})" if error.signal_name else ""
        raise RuntimeError(f"A process of this training has ended{cause}, and with it the training.{hint}") from error
    except (torch.distributed.DistError, RuntimeError) as error:
        if not GONE.search(str(error)):
            raise
        raise _gone(hint) from error


def _gone(hint: str) -> RuntimeError:
    return RuntimeError(f"Another process of this training has ended or does not answer.{hint}")


def _own(error: ProcessRaisedException, hint: str) -> Exception:
    """The error at the end of another process's traceback."""
    last_step = str(error).rpartition(FRAME)[2]
    name, _, message = re.split(r"\n(?=\S)", last_step, maxsplit=1)[-1].strip().partition(": ")
    if GONE.search(message):
        return _gone(hint)
    kind: Any = getattr(builtins, name, RuntimeError)
    return kind(message) if isinstance(kind, type) and issubclass(kind, Exception) else RuntimeError(message)
