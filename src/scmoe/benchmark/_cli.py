"""The commands ``scmoe benchmark ...``; imports inside commands, so that ``--help`` is instant."""

from pathlib import Path
from typing import Annotated

import typer

from scmoe._errors import reported_errors

app = typer.Typer(help="Measure what the package promises.", no_args_is_help=True)


@app.callback()
def benchmark() -> None:
    """Measure what the package promises."""


@app.command()
def speed(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("scmoe_speed"),
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rounds and smaller data: half a minute.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="CITE data with raw counts, 'rna' and 'adt' (.h5mu); default simulated.")
    ] = None,
) -> None:
    """Time the engine, training, loading and memory beside baselines of the same run, on one thread."""
    with reported_errors("Run the command again to start over."):
        from scmoe.benchmark._speed import run_speed, to_markdown

        result = run_speed(output, quick=quick, data=data)
    typer.echo(to_markdown(result))
    typer.echo(f"Written to {output}: speed.json, speed.md")
