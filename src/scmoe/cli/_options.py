"""Options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class FileFormat(StrEnum):
    """How data are written."""

    h5mu = "h5mu"
    zarr = "zarr"


class Accelerator(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"
    mps = "mps"


File = Annotated[Path, typer.Argument(help="Data: .h5mu, .zarr, .h5ad or 10x .h5.", show_default=False)]
ModelFolder = Annotated[
    Path, typer.Option("--model", help="Model folder, or the folder written by 'scmoe train'.", show_default=False)
]
OutputFile = Annotated[
    Path, typer.Option("--output", "-o", help="File or store to write (.h5mu or .zarr).", show_default=False)
]
Epochs = Annotated[
    int | None, typer.Option("--max-epochs", "--epochs", min=1, help="Passes over the data; default set by its size.")
]
Kinds = Annotated[
    list[str] | None,
    typer.Option(
        "--kind", help="What a modality is, e.g. rna=lognormalized (repeatable); default judged from the data."
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
