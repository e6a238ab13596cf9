"""The commands ``scmoe benchmark ...``; imports inside commands, so that ``--help`` is instant."""

from pathlib import Path
from typing import Annotated

import typer

from scmoe._errors import reported_errors
from scmoe.arguments._options import names, numbers, pairs

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
    cells: Annotated[
        int | None, typer.Option(min=1, help="Fit on as many cells only (map, predict); default four fifths.")
    ] = None,
    labels_per_type: Annotated[
        int | None, typer.Option(min=1, help="Cells of each type that keep their label (annotate); default all.")
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="What a modality is, e.g. rna=ambient (repeatable).")
    ] = None,
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
                n_cells=cells,
                labels_per_type=labels_per_type,
                kinds=pairs(kind, "--kind", "rna=ambient"),
            )
    typer.echo(compare_markdown(table))
    typer.echo(f"Written to {output}: table.json, table.md, figures, runs")


@app.command()
def overview(
    folders: Annotated[list[Path], typer.Argument(help="What compare wrote to (-o).", show_default=False)],
    task: Annotated[str, typer.Option(help="One task of the comparisons.")],
    scores: Annotated[str, typer.Option(help="Comma-separated names of table.json, e.g. r2,pearson.")],
    methods: Annotated[str | None, typer.Option(help="Comma-separated; default all.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("scmoe_overview"),
) -> None:
    """Put finished comparisons side by side: a row for each data set and case, a column for each method or score."""
    with reported_errors("Name folders that compare has written to."):
        from scmoe.benchmark._overview import write_overview

        chosen = None if methods is None else names(methods)
        typer.echo(write_overview(folders, output, task=task, scores=names(scores), methods=chosen))
    typer.echo(f"Written to {output}: overview.md, overview.png")
