"""`scmoe export`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from scmoe._keys import DEFAULT_KEY
from scmoe.cli._options import CacheDir, OnDisk, Overwrite
from scmoe.cli._wording import reported


class Tool(StrEnum):
    """Who is to read the results."""

    cellxgene = "cellxgene"
    seurat = "seurat"
    vitessce = "vitessce"
    csv = "csv"


def export(
    file: Annotated[
        Path,
        typer.Argument(help="Data with results: the result.h5mu of 'scmoe train' or 'scmoe map'.", show_default=False),
    ],
    to: Annotated[Tool, typer.Option(help="Tool that is to read them.", show_default=False)],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Where to write: .h5ad for cellxgene, .h5ad or .h5mu for seurat, a folder for vitessce and csv.",
            show_default=False,
        ),
    ],
    modality: Annotated[
        str | None, typer.Option(help="Modality to write, where one is written; default the first.")
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Field of CELLxGENE's schema, e.g. tissue_type=tissue, or donor_id=obs/donor for a column "
            "(repeatable).",
        ),
    ] = None,
    key: Annotated[str, typer.Option(help="Name of the results.")] = DEFAULT_KEY,
    on_disk: OnDisk = False,
    cache_dir: CacheDir = None,
    overwrite: Overwrite = False,
) -> None:
    """Write the results of FILE as another tool reads them: CELLxGENE, Seurat and Bioconductor, Vitessce, or tables."""
    with reported():
        from scmoe.arguments._options import pairs
        from scmoe.cli._files import refuse_existing, refuse_input
        from scmoe.datasets._read import read
        from scmoe.datasets.exports._export import export as write

        refuse_input(file, output)
        refuse_existing(output, overwrite)
        mdata = read(file, on_disk=on_disk, cache_dir=cache_dir)
        fields = pairs(values, "--set", "tissue_type=tissue")
        missing = write(
            mdata, output, to=to.value, modality=modality, values=fields or None, key=key, overwrite=overwrite
        )
    typer.echo(f"Written to {output}")
    for sentence in missing:
        typer.echo(f"  {sentence}")
