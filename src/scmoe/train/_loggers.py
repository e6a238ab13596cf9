"""Loggers of Lightning: what they are given, and why none of their faults ends a training."""

from collections.abc import Callable
from typing import Any, TypeVar

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger

from scmoe._log import logger as log
from scmoe.data._dataset import Batch
from scmoe.train._diagnostics import encode_cells, expert_loads
from scmoe.train._plan import TrainingPlan

T = TypeVar("T")


class GuardedLogger(Logger):
    """Another logger, which is let go at its first fault: a full disk or a server that is away costs no training.

    Parameters
    ----------
    logger
        The one that writes.
    """

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self.logger, self.works = logger, True

    @property
    def name(self) -> str | None:
        """Of the experiment."""
        return self._try(lambda: self.logger.name, None)

    @property
    def version(self) -> int | str | None:
        """Of the experiment."""
        return self._try(lambda: self.logger.version, None)

    @property
    def save_dir(self) -> str | None:
        """Where it writes."""
        return self._try(lambda: self.logger.save_dir, None)

    @property
    def log_dir(self) -> str | None:
        """Where it writes this run."""
        return self._try(lambda: getattr(self.logger, "log_dir", None), None)

    @property
    def group_separator(self) -> str:
        """Between the parts of a name."""
        return self.logger.group_separator

    @property
    def experiment(self) -> Any:
        """What the other library has for a run."""
        return getattr(self.logger, "experiment", None)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Write numbers."""
        self._try(lambda: self.logger.log_metrics(metrics, step), None)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Write settings."""
        self._try(lambda: self.logger.log_hyperparams(params, *args, **kwargs), None)

    def log_graph(self, model: Any, *args: Any, **kwargs: Any) -> None:
        """Write the network."""
        self._try(lambda: self.logger.log_graph(model, *args, **kwargs), None)

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Know of a checkpoint."""
        self._try(lambda: self.logger.after_save_checkpoint(checkpoint_callback), None)

    def save(self) -> None:
        """Write what is left."""
        self._try(self.logger.save, None)

    def finalize(self, status: str) -> None:
        """Close."""
        self._try(lambda: self.logger.finalize(status), None)

    def _try(self, act: Callable[[], T], otherwise: T) -> T:
        if not self.works:
            return otherwise
        try:
            return act()
        except Exception as error:  # noqa: BLE001 - libraries of loggers raise whatever their servers do
            self.works = False
            log.warning(
                "%s failed (%s: %s). The training goes on without it",
                *(type(self.logger).__name__, type(error).__name__, str(error).strip().split("\n")[0]),
            )
            return otherwise


def guard_loggers(trainer: Trainer) -> None:
    """Guard the loggers of a trainer.

    Raises
    ------
    ValueError
        One of them is no logger of Lightning.
    """
    for each in trainer.loggers:
        if not isinstance(each, Logger):
            raise ValueError(
                "logger must be a logger of Lightning, such as lightning.pytorch.loggers.CSVLogger('logs'), a list of "
                f"them, True or False; found {each!r} of type {type(each).__name__}."
            )
    trainer.loggers = [GuardedLogger(each) for each in trainer.loggers]


class ExpertLoads(Callback):
    """Log the share of the routed tokens that each expert gets, after each epoch, where there are loggers.

    Parameters
    ----------
    cells
        Of which the tokens are.
    """

    def __init__(self, cells: Batch) -> None:
        self.cells = cells

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the cells the precision of the weights."""
        self.cells = trainer.precision_plugin.convert_input(self.cells)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Encode the cells with the averaged network, which takes no random number."""
        assert isinstance(pl_module, TrainingPlan)
        if trainer.loggers:
            loads = expert_loads(encode_cells(pl_module.average, self.cells).routing)
            shares = {f"expert_load/{b}/{e}": float(x) for b, row in enumerate(loads) for e, x in enumerate(row)}
            pl_module.log_dict(shares)
