"""Options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer


class FileFormat(StrEnum):
    """How data are written."""

    h5mu = "h5mu"
    h5ad = "h5ad"
    zarr = "zarr"


class Accelerator(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"
    mps = "mps"


class Devices(NamedTuple):
    """Where to train."""

    accelerator: Accelerator
    devices: str
    nodes: int

    def train_kwargs(self, *, on_disk: bool) -> dict[str, Any]:
        """Arguments of a training. Other processes are started by this one, unless they have been: see `is_lead`.

        Copies of this process share data that are on disk; new ones would load them.
        """
        if self.devices != "auto" and not (self.devices.isdecimal() and int(self.devices)):
            raise ValueError(f"--devices must be 'auto' or a number from 1 on; found {self.devices!r}.")
        check_accelerator(self.accelerator)
        devices = self.devices if self.devices == "auto" else int(self.devices)
        kwargs = {"accelerator": self.accelerator.value, "devices": devices}
        kwargs["strategy"] = "ddp_fork" if on_disk else "ddp_spawn"
        return {**kwargs, "num_nodes": self.nodes} if self.nodes > 1 else kwargs


class LoggerName(StrEnum):
    """What losses are written for."""

    csv = "csv"
    tensorboard = "tensorboard"
    wandb = "wandb"
    mlflow = "mlflow"


class Search(StrEnum):
    """Whether scmoe looks for something by itself."""

    auto = "auto"
    never = "never"


File = Annotated[
    Path,
    typer.Argument(help="Data: .h5mu, .zarr, .h5ad, 10x .h5 or a folder with matrix.mtx.", show_default=False),
]
MODEL_HELP = "Folder of a model or of 'scmoe train', a reference model (bmmc_cite), or org/name of the hub."
ModelName = Annotated[str, typer.Option("--model", help=MODEL_HELP, show_default=False)]
OutputFile = Annotated[
    Path,
    typer.Option(
        "--output", "-o", help="File or store to write: .h5mu, .zarr, or .h5ad of one modality.", show_default=False
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there already.")]
Epochs = Annotated[
    int | None, typer.Option("--max-epochs", "--epochs", min=1, help="Passes over the data; default set by its size.")
]
Kinds = Annotated[
    list[str] | None,
    typer.Option(
        "--kind", help="What a modality is, e.g. rna=ambient (repeatable); default judged from names and values."
    ),
]
Layers = Annotated[
    list[str] | None,
    typer.Option("--layer", help="Layer that holds a modality's values, e.g. rna=raw_counts (repeatable)."),
]
Genome = Annotated[str | None, typer.Option(help="Genome to read from a 10x .h5 with several.")]
OnDisk = Annotated[
    bool, typer.Option("--on-disk", help="Leave matrices on disk; they are copied once, to a folder beside FILE.")
]
IsAtlas = Annotated[
    bool,
    typer.Option(
        "--atlas",
        help="FILE is a folder of .zarr stores: a sample is read, and all cells are trained on.",
    ),
]
CacheDir = Annotated[
    Path | None, typer.Option("--cache-dir", help="Folder for what --on-disk copies.", show_default=False)
]
Missing = Annotated[
    Search, typer.Option(help="Look for features and cells that were not measured, or take every zero for a value.")
]
SetAside = Annotated[
    Search, typer.Option(help="Set aside hashtags, guides, isotype controls and the like, or use them as features.")
]
Where = Annotated[Accelerator, typer.Option("--accelerator", help="Where to compute.")]
Number = Annotated[
    str, typer.Option("--devices", help="GPUs, or processes on a CPU, to train with; auto: all GPUs, or one process.")
]
Nodes = Annotated[int, typer.Option("--nodes", min=1, help="Machines to train on, started by SLURM or torchrun.")]
Loggers = Annotated[
    list[LoggerName] | None,
    typer.Option(
        "--logger", help="Write losses and loads of experts to logs/ of the output folder, too (repeat for several)."
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed; the same seed gives the same result on a CPU.")
]


def check_accelerator(accelerator: Accelerator) -> None:
    """Raise if there is no such device."""
    import torch

    apple = torch.backends.mps.is_available()
    if accelerator is Accelerator.mps and not apple:
        raise ValueError("No Apple GPU (mps) was found. Pass --accelerator auto, cpu or gpu.")
    if accelerator is Accelerator.gpu and not (apple or torch.cuda.is_available()):
        raise ValueError("No GPU was found. Pass --accelerator auto or cpu, or check the driver and the torch build.")
