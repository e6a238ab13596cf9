"""Loggers that a command names."""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scmoe.cli._options import LoggerName

PROJECT = "scmoe"
"""What runs are filed under, unless the environment says otherwise."""


def logger_kwargs(names: Sequence[LoggerName] | None, folder: Path) -> dict[str, Any]:
    """Arguments of a training that is logged; nothing leaves the machine unless the environment says so.

    Parameters
    ----------
    names
        Of the loggers.
    folder
        Of the results.

    Raises
    ------
    ValueError
        The package of a logger is not installed.
    """
    return {"logger": [_make(name, folder) for name in dict.fromkeys(names)]} if names else {}


def _make(name: LoggerName, folder: Path) -> Any:
    from lightning.pytorch import loggers

    if name is not LoggerName.csv and find_spec(name.value) is None:
        raise ValueError(f"--logger {name.value} needs a package that is not there: pip install {name.value}.")
    logs = folder / "logs"
    if name is LoggerName.wandb:
        project, mode = (os.environ.get(f"WANDB_{key}") for key in ("PROJECT", "MODE"))
        return loggers.WandbLogger(folder.name, logs, project=project or PROJECT, offline=mode in (None, "offline"))
    if name is LoggerName.mlflow:
        logs.mkdir(parents=True, exist_ok=True)
        # A database in one file: MLflow refuses its former store of folders from version 3.18 on.
        place = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{(logs / 'mlflow.db').resolve()}")
        artifacts = (logs / "mlflow").resolve().as_uri()
        return loggers.MLFlowLogger(PROJECT, folder.name, place, artifact_location=artifacts)
    return (loggers.CSVLogger if name is LoggerName.csv else loggers.TensorBoardLogger)(logs, name.value)
