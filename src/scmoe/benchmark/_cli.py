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
def compare(
    file: Annotated[Path, typer.Argument(help="Data: .h5mu, .h5ad or 10x .h5.", show_default=False)],
    labels: Annotated[str | None, typer.Option(help="Column of obs with cell types.")] = None,
    batch: Annotated[str | None, typer.Option(help="Column of obs with batches or donors.")] = None,
    methods: Annotated[
        str | None, typer.Option(help="Comma-separated, e.g. scmoe,pca,ridge or ablation; default all.")
    ] = None,
    tasks: Annotated[str, typer.Option(help="Comma-separated.")] = "embed,map,predict,annotate,mosaic",
    seeds: Annotated[str, typer.Option(help="Comma-separated.")] = "0,1,2",
    quick: Annotated[bool, typer.Option("--quick", help="The first seed; no methods that take minutes.")] = False,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("scmoe_compare"),
) -> None:
    """Compare scmoe with other methods on your data: embedding, new cells, prediction, labels, mosaics."""
    with reported_errors("Run the command again: finished runs are kept."):
        from scmoe.benchmark._report import compare_markdown
        from scmoe.benchmark._run import run_compare
        from scmoe.io._lock import sole_run

        with sole_run(output):
            table = run_compare(
                file,
                output,
                labels=labels,
                batch=batch,
                methods=None if methods is None else names(methods),
                tasks=names(tasks),
                seeds=numbers(seeds),
                quick=quick,
            )
    typer.echo(compare_markdown(table))
    typer.echo(f"Written to {output}: table.json, table.md, figures, runs")


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def numbers(text: str) -> list[int]:
    try:
        return [int(name) for name in names(text)]
    except ValueError:
        raise ValueError(f"--seeds must be whole numbers separated by commas; found {text!r}.") from None
