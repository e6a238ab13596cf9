"""The command that tests groups of cells of a file."""

from pathlib import Path
from typing import Annotated

import typer

from scmoe.cli._options import File, Genome, Layers, OnDisk, Overwrite
from scmoe.cli._wording import reported


def markers(
    file: File,
    groupby: Annotated[str, typer.Option(help="Column of obs with clusters or cell types.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Table to write (.csv).", show_default=False)],
    modality: Annotated[
        list[str] | None, typer.Option(help="Modality to test (repeat for several); default all.")
    ] = None,
    batch_key: Annotated[
        str | None,
        typer.Option("--batch-key", "--batch", help="Column of obs with batches or donors, to compare within."),
    ] = None,
    reference: Annotated[str, typer.Option(help="Group to compare with; default all other cells.")] = "rest",
    layer: Layers = None,
    genome: Genome = None,
    on_disk: OnDisk = False,
    overwrite: Overwrite = False,
) -> None:
    """Test which features are higher or lower in each group of cells of FILE, by what was measured."""
    with reported():
        from scmoe._keys import DEFAULT_KEY, MARKERS
        from scmoe.arguments._options import pairs
        from scmoe.cli._files import refuse_existing, refuse_input
        from scmoe.cli._input import use_layers
        from scmoe.datasets._read import read
        from scmoe.io._files import atomic_path, check_writable
        from scmoe.tl._markers import markers as test

        refuse_input(file, output)
        check_writable(output.parent)
        if output.suffix != ".csv":
            raise ValueError(f"--output must be a table, such as markers.csv; found {output.name!r}.")
        refuse_existing(output, overwrite)
        name = modality[0] if modality and len(modality) == 1 else "rna"
        mdata = read(file, modality=name, genome=genome, on_disk=on_disk)
        use_layers(mdata, pairs(layer, "--layer", "rna=raw_counts"))
        test(mdata, groupby=groupby, modality=modality, reference=reference, batch_key=batch_key)
        table = mdata.uns[DEFAULT_KEY][MARKERS]
        with atomic_path(output) as temporary:
            table.to_csv(temporary, index=False)
    typer.echo(f"Written to {output}: {len(table)} tests of {table['group'].nunique()} groups")
