"""The commands of the studies, ``scmoe benchmark ...``; imports inside commands, so that ``--help`` is instant."""

from pathlib import Path
from typing import Annotated

import typer

from scmoe._errors import reported_errors
from scmoe.benchmark._cli import numbers

app = typer.Typer()


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
        from scmoe.studies.speed._run import run_speed, to_markdown

        result = run_speed(output, quick=quick, data=data)
    typer.echo(to_markdown(result))
    typer.echo(f"Written to {output}: speed.json, speed.md")


@app.command()
def genes(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("scmoe_genes"),
    data: Annotated[Path | None, typer.Option(help="Data with RNA counts; default the bundled CITE data.")] = None,
    labels: Annotated[str | None, typer.Option(help="Column of obs with cell types, of --data.")] = None,
    study: Annotated[list[str] | None, typer.Option(help="A study; may be repeated; default all.")] = None,
    seeds: Annotated[str, typer.Option(help="Comma-separated.")] = "0,1,2",
    quick: Annotated[
        bool, typer.Option("--quick", help="The first seed, fewer cells, genes and steps: minutes.")
    ] = False,
) -> None:
    """Study what masked-gene pretraining learns: tokenizers, masks, values, annotation, perturbations."""
    with reported_errors("Run the command again: finished results are kept."):
        from scmoe.studies.genes._run import run_genes

        table = run_genes(output, data=data, labels=labels, studies=study, seeds=numbers(seeds), quick=quick)
    for row in table["verdicts"]:
        typer.echo(f"{row['verdict']}: {row['claim']}; {row['comparison']}, {row['score']}, {row['difference']:+.3f}")
    typer.echo(f"Written to {output}: genes.md, genes.json, tables, figures, runs")


@app.command("genes-cost")
def genes_cost(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("scmoe_genes_cost"),
    quick: Annotated[bool, typer.Option("--quick", help="Few genes and one preset: half a minute.")] = False,
) -> None:
    """Count and time a training step of masked-gene pretraining beside networks that read every gene."""
    with reported_errors("Run the command again to start over."):
        from scmoe.studies.genes.cost._report import cost_markdown
        from scmoe.studies.genes.cost._run import run_genes_cost

        result = run_genes_cost(output, quick=quick)
    typer.echo(cost_markdown(result))
    typer.echo(f"Written to {output}: genes_cost.json, genes_cost.md, genes_cost.png, genes_scaling.png")


@app.command()
def experts(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("scmoe_experts"),
    data: Annotated[Path | None, typer.Option(help="Data with RNA, whose gene programs are compared too.")] = None,
    seeds: Annotated[str, typer.Option(help="Comma-separated.")] = "0,1,2",
    quick: Annotated[bool, typer.Option("--quick", help="The first seed and fewer cells.")] = False,
) -> None:
    """Compare experts with a dense layer of equal active size where cells differ in kind."""
    with reported_errors("Run the command again to start over."):
        from scmoe.studies.experts._run import experts_markdown, run_experts

        result = run_experts(output, data=data, seeds=numbers(seeds), quick=quick)
    typer.echo(experts_markdown(result))
    typer.echo(f"Written to {output}: experts.json, experts.md")


@app.command()
def conflict(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("scmoe_conflict"),
    data: Annotated[
        Path | None, typer.Option(help="Data with two modalities or more; default the bundled CITE data.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="Comma-separated.")] = "0,1,2",
    quick: Annotated[bool, typer.Option("--quick", help="The first seed and fewer epochs.")] = False,
) -> None:
    """Compare how the gradients of modalities agree on sparse experts and on dense layers, during the training."""
    with reported_errors("Run the command again to start over."):
        from scmoe.studies.explain._conflict import run_conflict
        from scmoe.studies.explain._conflict_report import conflict_markdown

        result = run_conflict(output, data=data, seeds=numbers(seeds), quick=quick)
    typer.echo(conflict_markdown(result))
    typer.echo(f"Written to {output}: conflict.json, conflict.md, conflict.png")


@app.command()
def replicate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("scmoe_replicate"),
    data: Annotated[
        list[Path] | None, typer.Option(help="Further data, besides the simulated and the bundled; may be repeated.")
    ] = None,
    labels: Annotated[
        list[str] | None, typer.Option(help="Column of obs with true groups, one for each --data.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="Comma-separated; a simulation each.")] = "0,1,2,3,4",
    folds: Annotated[int, typer.Option(help="How many of the five folds with each seed.")] = 5,
    quick: Annotated[bool, typer.Option("--quick", help="Two seeds, one fold, 20 epochs: minutes.")] = False,
) -> None:
    """Run the tables and figures of the scMoE paper again, beside baselines, and say what replicates."""
    with reported_errors("Run the command again: finished results are kept."):
        from scmoe.studies.replicate._run import run_replicate

        table = run_replicate(
            output, data=data or [], labels=labels or [], seeds=numbers(seeds), folds=folds, quick=quick
        )
    for row in table["verdicts"]:
        typer.echo(f"{row['verdict']}: {row['claim']}; {row['form']}, {row['comparison']}, {row['difference']:+.3f}")
    typer.echo(f"Written to {output}: replicate.md, replicate.json, tables, figures, runs")


@app.command()
def shap(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("scmoe_shap"),
    data: Annotated[Path | None, typer.Option(help="Data to explain; default the bundled CITE data.")] = None,
    labels: Annotated[str, typer.Option(help="Column of obs with cell types.")] = "cell_type",
    batch: Annotated[str | None, typer.Option(help="Column of obs with batches or donors.")] = "batch",
    seed: Annotated[int, typer.Option(help="Of model, cells and methods.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer labels and cells.")] = False,
) -> None:
    """Compare what explanations cost with SHAP, and whether they agree."""
    with reported_errors("Run the command again to start over."):
        from scmoe.studies.explain._shap import run_shap, shap_markdown

        result = run_shap(output, data=data, labels=labels, batch=batch, seed=seed, quick=quick)
    typer.echo(shap_markdown(result))
    typer.echo(f"Written to {output}: shap.json, shap.md")


@app.command()
def novelty(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("scmoe_novelty"),
    data: Annotated[Path | None, typer.Option(help="Data with labels; default the bundled CITE data.")] = None,
    labels: Annotated[str, typer.Option(help="Column of obs with cell types.")] = "cell_type",
    batch: Annotated[str | None, typer.Option(help="Column of obs with batches or donors.")] = None,
    seeds: Annotated[str, typer.Option(help="Comma-separated; a training for each type and seed.")] = "0,1",
    quick: Annotated[bool, typer.Option("--quick", help="The two largest types and the first seed.")] = False,
) -> None:
    """Leave one cell type out after another, and see whether the model says that it does not know it."""
    with reported_errors("Run the command again to start over."):
        from scmoe.studies.imbalance._novelty import novelty_markdown, run_novelty

        table = run_novelty(output, data=data, labels=labels, batch=batch, seeds=numbers(seeds), quick=quick)
    typer.echo(novelty_markdown(table))
    typer.echo(f"Written to {output}: novelty.json, novelty.md")


@app.command()
def imbalance(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("scmoe_imbalance"),
    data: Annotated[Path | None, typer.Option(help="Data with RNA counts; default the bundled CITE data.")] = None,
    labels: Annotated[str, typer.Option(help="Column of obs with cell types.")] = "cell_type",
    batch: Annotated[str | None, typer.Option(help="Column of obs with donors, to hold out one after another.")] = None,
    part: Annotated[list[str] | None, typer.Option(help="study or annotator; may be repeated; default both.")] = None,
    seeds: Annotated[str, typer.Option(help="Comma-separated.")] = "0,1,2,3,4",
    quick: Annotated[bool, typer.Option("--quick", help="Two seeds, fewer genes and steps: minutes.")] = False,
) -> None:
    """Study rare labels: tokenizers, treatments, factors of imbalance, and class_balance of SCMOE."""
    with reported_errors("Run the command again: finished results are kept."):
        from scmoe.studies.imbalance._run import run_imbalance

        table = run_imbalance(
            output, data=data, labels=labels, batch=batch, parts=part, seeds=numbers(seeds), quick=quick
        )
    for row in table["verdicts"]:
        typer.echo(f"{row['verdict']}: {row['claim']}; {row['comparison']}, {row['score']}, {row['difference']:+.3f}")
    typer.echo(f"Written to {output}: imbalance.md, imbalance.json, tables, figures, runs")


@app.command()
def rare_experts(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("scmoe_rare_experts"),
    data: Annotated[Path | None, typer.Option(help="Labeled data; default the bundled CITE data.")] = None,
    labels: Annotated[str, typer.Option(help="Column of obs with cell types.")] = "cell_type",
    seeds: Annotated[str, typer.Option(help="Comma-separated.")] = "0,1,2",
    quick: Annotated[bool, typer.Option("--quick", help="The first seed and fewer epochs.")] = False,
) -> None:
    """Compare expert usage and annotation of rare and frequent types at several weights of the router's balance loss."""
    with reported_errors("Run the command again to start over."):
        from scmoe.studies.imbalance._rare_experts import rare_experts_markdown, run_rare_experts

        result = run_rare_experts(output, data=data, labels=labels, seeds=numbers(seeds), quick=quick)
    typer.echo(rare_experts_markdown(result))
    typer.echo(f"Written to {output}: rare_experts.json, rare_experts.md")
