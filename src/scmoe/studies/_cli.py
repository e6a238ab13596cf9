"""The commands of the studies, ``scmoe benchmark ...``; imports inside commands, so that ``--help`` is instant."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from scmoe._errors import reported_errors
from scmoe.arguments._options import names, numbers

app = typer.Typer()

RESTART, RESUME = "Run the command again to start over.", "Run the command again: finished results are kept."
"""What to do after an error."""
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")]
Seeds = Annotated[str, typer.Option(help="Comma-separated.")]
CellTypes = Annotated[str, typer.Option(help="Column of obs with cell types.")]
Batches = Annotated[str | None, typer.Option(help="Column of obs with batches or donors.")]
RnaCounts = Annotated[Path | None, typer.Option(help="Data with RNA counts; default the bundled CITE data.")]


def run_and_echo(run: Callable[[], str], output: Path, files: str, hint: str = RESTART) -> None:
    """Run a study, and print its report and the names of the files that it has written."""
    with reported_errors(hint):
        from scmoe.io._lock import sole_run

        with sole_run(output):
            report = run()
    if report:
        typer.echo(report)
    typer.echo(f"Written to {output}: {files}")


def verdict_lines(table: Mapping[str, Any], *columns: str) -> str:
    """A line for each verdict: the claim, what was compared, and the difference."""
    return "\n".join(
        f"{row['verdict']}: {row['claim']}; {', '.join(row[name] for name in columns)}, {row['difference']:+.3f}"
        for row in table["verdicts"]
    )


@app.command()
def speed(
    output: Output = Path("scmoe_speed"),
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rounds and smaller data: half a minute.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="CITE data with raw counts, 'rna' and 'adt' (.h5mu); default simulated.")
    ] = None,
) -> None:
    """Time the engine, training, loading and memory beside baselines of the same run, on one thread."""

    def run() -> str:
        from scmoe.studies.speed._run import run_speed, to_markdown

        return to_markdown(run_speed(output, quick=quick, data=data))

    run_and_echo(run, output, "speed.json, speed.md")


@app.command()
def scale(
    output: Output = Path("scmoe_scale"),
    cells: Annotated[str, typer.Option(help="Numbers of cells, separated by commas.")] = "10000,50000",
    n_genes: Annotated[int, typer.Option(help="Genes.")] = 2000,
    peaks: Annotated[int, typer.Option(min=0, help="Peaks, in place of proteins.")] = 0,
    all_features: Annotated[
        bool, typer.Option("--all-features", help="Read all features, not the most variable of very many.")
    ] = False,
    engines: Annotated[
        str, typer.Option(help="Of memory, disk, scanpy, totalvi, multivi (with peaks); separated by commas.")
    ] = "memory,disk",
    epochs: Annotated[str, typer.Option(help="Numbers of epochs, an analysis each; default the model's own.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="2000 and 8000 cells: minutes.")] = False,
) -> None:
    """Measure time and memory of an analysis of simulated CITE-seq or multiome, phase by phase, on one thread."""

    def run() -> str:
        from scmoe.studies.scale._report import to_markdown
        from scmoe.studies.scale._run import run_scale

        sizes: list[int] = numbers(cells, "--cells")
        ways: Any = names(engines)  # checked there
        lengths = numbers(epochs, "--epochs")
        settings: Any = {"engines": ways, "epochs": lengths, "quick": quick}
        table = run_scale(output, cells=sizes, n_genes=n_genes, n_peaks=peaks, all_features=all_features, **settings)
        return to_markdown(table)

    run_and_echo(run, output, "scale.json, scale.md, scale.png, runs", RESUME)


@app.command()
def genes(
    output: Output = Path("scmoe_genes"),
    data: RnaCounts = None,
    labels: Annotated[str | None, typer.Option(help="Column of obs with cell types, of --data.")] = None,
    study: Annotated[list[str] | None, typer.Option(help="A study; may be repeated; default all.")] = None,
    seeds: Seeds = "0,1,2",
    quick: Annotated[
        bool, typer.Option("--quick", help="The first seed, fewer cells, genes and steps: minutes.")
    ] = False,
) -> None:
    """Study what masked-gene pretraining learns: tokenizers, masks, values, annotation, perturbations."""

    def run() -> str:
        from scmoe.studies.genes._run import run_genes

        table = run_genes(output, data=data, labels=labels, studies=study, seeds=numbers(seeds), quick=quick)
        return verdict_lines(table, "comparison", "score")

    run_and_echo(run, output, "genes.md, genes.json, tables, figures, runs", RESUME)


@app.command("genes-cost")
def genes_cost(
    output: Output = Path("scmoe_genes_cost"),
    quick: Annotated[bool, typer.Option("--quick", help="Few genes and one preset: half a minute.")] = False,
) -> None:
    """Count and time a training step of masked-gene pretraining beside networks that read every gene."""

    def run() -> str:
        from scmoe.studies.genes.cost._report import cost_markdown
        from scmoe.studies.genes.cost._run import run_genes_cost

        return cost_markdown(run_genes_cost(output, quick=quick))

    run_and_echo(run, output, "genes_cost.json, genes_cost.md, genes_cost.png, genes_scaling.png")


@app.command("genes-scaling")
def genes_scaling(
    output: Output = Path("scmoe_genes_scaling"),
    data: Annotated[Path | None, typer.Option(help="Data with RNA in place of the bundled cells.")] = None,
    labels: Annotated[str | None, typer.Option(help="Column of obs with its labels.")] = None,
    seeds: Seeds = "0,1,2",
    quick: Annotated[bool, typer.Option("--quick", help="Two sizes, few cells and steps: a minute.")] = False,
) -> None:
    """Pretrain gene networks of growing size on growing numbers of cells, and fit a law to the loss."""

    def run() -> str:
        from scmoe.studies.genes.scaling._report import scaling_markdown
        from scmoe.studies.genes.scaling._run import run_genes_scaling

        return scaling_markdown(run_genes_scaling(output, data=data, labels=labels, seeds=numbers(seeds), quick=quick))

    run_and_echo(run, output, "scaling.json, scaling.md, scaling.png, runs", RESUME)


@app.command("published-cost")
def published_cost(
    output: Output = Path("scmoe_published_cost"),
    quick: Annotated[bool, typer.Option("--quick", help="500 and 1000 genes: half a minute.")] = False,
) -> None:
    """Time the encoders of published gene models beside ours, with and without fused attention."""

    def run() -> str:
        from scmoe.studies.genes.cost._published import published_cost_markdown, run_published_cost

        return published_cost_markdown(run_published_cost(output, quick=quick))

    run_and_echo(run, output, "published_cost.json, published_cost.md")


@app.command()
def experts(
    output: Output = Path("scmoe_experts"),
    data: Annotated[list[Path] | None, typer.Option(help="Data with two modalities or more; may be repeated.")] = None,
    labels: Annotated[
        list[str] | None, typer.Option(help="Column of obs with types of cells, one for each --data.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="Of the confirmation; comma-separated.")] = "0,1,2,3,4",
    quick: Annotated[bool, typer.Option("--quick", help="Small simulations, one seed of each stage.")] = False,
) -> None:
    """Compare settings of the experts with each other and with dense networks of equal size and time."""

    def run() -> str:
        from scmoe.studies.experts._run import experts_markdown, run_experts

        table = run_experts(output, data=data or [], labels=labels or [], seeds=numbers(seeds), quick=quick)
        return experts_markdown(table)

    run_and_echo(run, output, "experts.json, experts.md, tables, figures, runs", RESUME)


@app.command()
def conflict(
    output: Output = Path("scmoe_conflict"),
    data: Annotated[
        Path | None, typer.Option(help="Data with two modalities or more; default the bundled CITE data.")
    ] = None,
    seeds: Seeds = "0,1,2",
    quick: Annotated[bool, typer.Option("--quick", help="The first seed and fewer epochs.")] = False,
) -> None:
    """Compare how the gradients of modalities agree on sparse experts and on dense layers, during the training."""

    def run() -> str:
        from scmoe.studies.explain._conflict import run_conflict
        from scmoe.studies.explain._conflict_report import conflict_markdown

        return conflict_markdown(run_conflict(output, data=data, seeds=numbers(seeds), quick=quick))

    run_and_echo(run, output, "conflict.json, conflict.md, conflict.png")


@app.command()
def replicate(
    output: Output = Path("scmoe_replicate"),
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

    def run() -> str:
        from scmoe.studies.replicate._run import run_replicate

        table = run_replicate(
            output, data=data or [], labels=labels or [], seeds=numbers(seeds), folds=folds, quick=quick
        )
        return verdict_lines(table, "form", "comparison")

    run_and_echo(run, output, "replicate.md, replicate.json, tables, figures, runs", RESUME)


@app.command()
def shap(
    output: Output = Path("scmoe_shap"),
    data: Annotated[Path | None, typer.Option(help="Data to explain; default the bundled CITE data.")] = None,
    labels: CellTypes = "cell_type",
    batch: Batches = "batch",
    seed: Annotated[int, typer.Option(help="Of model, cells and methods.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer labels and cells.")] = False,
) -> None:
    """Compare what explanations cost with SHAP, and whether they agree."""

    def run() -> str:
        from scmoe.studies.explain._shap import run_shap, shap_markdown

        return shap_markdown(run_shap(output, data=data, labels=labels, batch=batch, seed=seed, quick=quick))

    run_and_echo(run, output, "shap.json, shap.md")


@app.command()
def markers(
    output: Output = Path("scmoe_markers"),
    seeds: Seeds = "0,1,2",
    quick: Annotated[
        bool, typer.Option("--quick", help="The first seed, short trainings, without totalVI: minutes.")
    ] = False,
) -> None:
    """Count false and true calls of tests of markers, beside Wilcoxon, pools of cells and totalVI."""

    def run() -> str:
        from scmoe.studies.markers._report import markers_markdown
        from scmoe.studies.markers._run import run_markers

        return markers_markdown(run_markers(output, seeds=numbers(seeds), quick=quick))

    run_and_echo(run, output, "markers.json, markers.md, runs", RESUME)


BloodCells = Annotated[
    Path | None, typer.Option(help="Blood cells with genes and antibodies; default 10x Genomics' public file.")
]
BloodTypes = Annotated[
    Path | None, typer.Option(help="Table with columns barcode and cell_type; default gates on the proteins.")
]


@app.command("train-reference")
def train_reference(
    name: Annotated[str, typer.Argument(help="bmmc_cite or pbmc10k_cite.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the model.", show_default=False)],
    data: BloodCells = None,
    labels: BloodTypes = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the training.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model that is there.")] = False,
) -> None:
    """Train a reference model as it is made for the package; 'scmoe annotate --model FOLDER' uses it."""
    with reported_errors(RESTART):
        from scmoe.studies.reference._recipe import train_reference

        known: Any = name  # checked there
        train_reference(known, output, data=data, labels=labels, seed=seed, overwrite=overwrite)
    typer.echo(f"Written to {output}: settings.json, weights.safetensors, README.md")


@app.command()
def reference(
    output: Output = Path("scmoe_reference"),
    data: BloodCells = None,
    labels: BloodTypes = None,
    seeds: Annotated[str, typer.Option(help="Of further trainings; comma-separated.")] = "1,2",
) -> None:
    """Label blood cells with the reference model of bone marrow, beside logistic regression on the same cells."""

    def run() -> str:
        from scmoe.studies.reference._report import reference_markdown
        from scmoe.studies.reference._run import run_reference

        return reference_markdown(run_reference(output, data=data, labels=labels, seeds=numbers(seeds)))

    run_and_echo(run, output, "reference.json, reference.md, query.h5, models")


@app.command()
def novelty(
    output: Output = Path("scmoe_novelty"),
    data: Annotated[Path | None, typer.Option(help="Data with labels; default the bundled CITE data.")] = None,
    labels: CellTypes = "cell_type",
    batch: Batches = None,
    seeds: Annotated[str, typer.Option(help="Comma-separated; a training for each type and seed.")] = "0,1",
    quick: Annotated[bool, typer.Option("--quick", help="The two largest types and the first seed.")] = False,
) -> None:
    """Leave one cell type out after another, and see whether the model says that it does not know it."""

    def run() -> str:
        from scmoe.studies.imbalance._novelty import novelty_markdown, run_novelty

        table = run_novelty(output, data=data, labels=labels, batch=batch, seeds=numbers(seeds), quick=quick)
        return novelty_markdown(table)

    run_and_echo(run, output, "novelty.json, novelty.md")


@app.command()
def imbalance(
    output: Output = Path("scmoe_imbalance"),
    data: RnaCounts = None,
    labels: CellTypes = "cell_type",
    batch: Annotated[str | None, typer.Option(help="Column of obs with donors, to hold out one after another.")] = None,
    part: Annotated[list[str] | None, typer.Option(help="study or annotator; may be repeated; default both.")] = None,
    seeds: Seeds = "0,1,2,3,4",
    quick: Annotated[bool, typer.Option("--quick", help="Two seeds, fewer genes and steps: minutes.")] = False,
) -> None:
    """Study rare labels: tokenizers, treatments, factors of imbalance, and class_balance of SCMOE."""

    def run() -> str:
        from scmoe.studies.imbalance._run import run_imbalance

        table = run_imbalance(
            output, data=data, labels=labels, batch=batch, parts=part, seeds=numbers(seeds), quick=quick
        )
        return verdict_lines(table, "comparison", "score")

    run_and_echo(run, output, "imbalance.md, imbalance.json, tables, figures, runs", RESUME)


@app.command(
    help="Compare expert usage and annotation of rare and frequent types at several weights of the router's "
    "balance loss."
)
def rare_experts(
    output: Output = Path("scmoe_rare_experts"),
    data: Annotated[Path | None, typer.Option(help="Labeled data; default the bundled CITE data.")] = None,
    labels: CellTypes = "cell_type",
    seeds: Seeds = "0,1,2",
    quick: Annotated[bool, typer.Option("--quick", help="The first seed and fewer epochs.")] = False,
) -> None:
    """Compare experts and labels of rare and frequent types at several weights of the balance loss."""

    def run() -> str:
        from scmoe.studies.imbalance._rare_experts import rare_experts_markdown, run_rare_experts

        return rare_experts_markdown(
            run_rare_experts(output, data=data, labels=labels, seeds=numbers(seeds), quick=quick)
        )

    run_and_echo(run, output, "rare_experts.json, rare_experts.md")


@app.command()
def synergy(
    data: Annotated[
        Path, typer.Argument(metavar="PATH", help="Folder with the tables of the DeepDDS study.", show_default=False)
    ],
    output: Output = Path("scmoe_synergy"),
    model: Annotated[
        Path | None,
        typer.Option(help="Folder of a pretrained XTRIMOGENE; default: pretrain on the expression of the cell lines."),
    ] = None,
    predictor: Annotated[
        list[str] | None, typer.Option(help="boosted trees or graph network; may be repeated; default both.")
    ] = None,
    seeds: Seeds = "0,1,2",
    quick: Annotated[bool, typer.Option("--quick", help="The first seed, two folds, smaller models: minutes.")] = False,
) -> None:
    """Predict synergy of drugs from structures and expression of cell lines, beside no expression at all."""

    def run() -> str:
        from scmoe.studies.synergy._run import run_synergy

        table = run_synergy(output, data=data, model=model, predictors=predictor, seeds=numbers(seeds), quick=quick)
        return verdict_lines(table, "left_out", "model")

    run_and_echo(run, output, "synergy.md, synergy.json, tables, runs", RESUME)
