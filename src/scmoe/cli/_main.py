"""The command line: what `scmoe.tl` does, from file to file."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from scmoe._errors import reported_errors
from scmoe._keys import UNKNOWN_LABEL
from scmoe._version import __version__
from scmoe.benchmark._cli import app as benchmark
from scmoe.cli._options import (
    Accelerator,
    Epochs,
    File,
    FileFormat,
    Kinds,
    ModelFolder,
    OutputFile,
    Seed,
    check_accelerator,
)
from scmoe.cli._pretrain import HELP, pretrain

# The scientific libraries take seconds to load, so each command imports what it needs: `scmoe --help` stays instant.
app = typer.Typer(
    help="Train a sparse mixture-of-experts model on single-cell multi-omics data and use it.",
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
with suppress(ModuleNotFoundError):  # the package works without its studies
    from scmoe.studies._cli import app as studies

    benchmark.registered_commands.extend(studies.registered_commands)
app.add_typer(benchmark, name="benchmark")
app.command(help=HELP)(pretrain)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"scmoe {__version__}")
        raise typer.Exit()


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Train a sparse mixture-of-experts model on single-cell multi-omics data and use it."""


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("scmoe_demo"),
    seed: Seed = 0,
    max_epochs: Epochs = None,
) -> None:
    """Run the whole job on bundled bone-marrow data (RNA and proteins) and compare it with PCA and ridge regression."""
    with reported_errors("Run the command again to start over."):
        from scmoe.benchmark.demo._run import run_demo
        from scmoe.benchmark.demo._scores import to_markdown

        result = run_demo(output, seed=seed, max_epochs=max_epochs)
    typer.echo(to_markdown(result))
    typer.echo(f"Written to {output}: result.h5mu, model/, figures/, comparison.json, comparison.md")


@app.command()
def train(
    file: File,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.", show_default=False)],
    modality: Annotated[
        list[str] | None, typer.Option(help="Modality to use (repeat for several); default all.")
    ] = None,
    batch_key: Annotated[str | None, typer.Option(help="Column of obs with the batch or donor.")] = None,
    labels_key: Annotated[str | None, typer.Option(help="Column of obs with labels to learn.")] = None,
    class_balance: Annotated[
        str | None,
        typer.Option(help="How labels with few cells are treated, e.g. inverse (default), none or logit_adjusted."),
    ] = None,
    n_clusters: Annotated[int | None, typer.Option(min=2, help="Number of clusters, if known.")] = None,
    kind: Kinds = None,
    max_epochs: Epochs = None,
    seed: Seed = 0,
    file_format: Annotated[FileFormat, typer.Option("--format", help="How the result is written.")] = FileFormat.h5mu,
    accelerator: Annotated[Accelerator, typer.Option(help="Where to compute.")] = Accelerator.auto,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results in the folder.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")] = False,
) -> None:
    """Train on FILE; writes result.h5mu (or .zarr), model/ and figures/ to the output folder."""
    result = f"result.{file_format.value}"
    with reported_errors("Run the same command with --resume to go on from the last finished epoch."):
        from scmoe.cli._files import check_output, read_prepared, write_results
        from scmoe.tl._train import train as fit

        check_accelerator(accelerator)
        mdata = read_prepared(file, kind, modality, suffix=f".{file_format.value}")
        if n_clusters is not None and n_clusters > mdata.n_obs:
            raise ValueError(f"--n-clusters must be at most the number of cells, {mdata.n_obs}; found {n_clusters}.")
        checkpoint = check_output(output, overwrite, resume, result=result)
        arguments = {"n_clusters": n_clusters, "class_balance": class_balance}
        options: dict[str, Any] = {name: value for name, value in arguments.items() if value is not None}
        model = fit(
            mdata,
            modalities=modality,
            batch_key=batch_key,
            labels_key=labels_key,
            max_epochs=max_epochs,
            seed=seed,
            train_kwargs={"accelerator": accelerator.value, "checkpoint_dir": checkpoint.parent, "resume": resume},
            **options,
        )
        write_results(mdata, model, output, result, labels_key, seed)
        checkpoint.unlink(missing_ok=True)
        with suppress(OSError):  # other files in the folder are not ours to remove
            checkpoint.parent.rmdir()
    typer.echo(f"Written to {output}: {result}, model/, figures/")


@app.command()
def annotate(
    file: File,
    model_folder: ModelFolder,
    output: OutputFile,
    coverage: Annotated[
        float, typer.Option(help="Share of cells of known types that keep a label; the least sure ones lose it.")
    ] = 1.0,
    reject_label: Annotated[str, typer.Option(help="Name for cells without a label.")] = UNKNOWN_LABEL,
    kind: Kinds = None,
) -> None:
    """Write the labels that a model trained with --labels-key gives to the cells of FILE."""
    with reported_errors():
        from scmoe.cli._files import load, read_prepared_for
        from scmoe.datasets._write import write
        from scmoe.tl._annotate import annotate as write_labels

        model = load(model_folder, output)
        if not model.setup.labels:
            raise ValueError(f"The model in {model_folder} was trained without labels. Train one with --labels-key.")
        mdata = read_prepared_for(model, file, kind, output)
        write_labels(mdata, model, coverage=coverage, reject_label=reject_label)
        write(mdata, output)
    typer.echo(f"Written to {output}")


@app.command()
def impute(
    file: File,
    model_folder: ModelFolder,
    source: Annotated[list[str], typer.Option(help="Modality to predict from (repeat for several).")],
    target: Annotated[str, typer.Option(help="Modality to predict; it is not read.")],
    output: OutputFile,
    kind: Kinds = None,
) -> None:
    """Predict one modality of the cells of FILE from others."""
    with reported_errors():
        from scmoe.cli._files import load, read_prepared_for
        from scmoe.datasets._write import write
        from scmoe.tl._impute import impute as write_prediction

        model = load(model_folder, output)
        unknown = [name for name in (*source, target) if name not in model.modalities]
        if unknown:
            raise ValueError(f"The model has no modality {unknown[0]!r}; it has {', '.join(model.modalities)}.")
        mdata = read_prepared_for(model, file, kind, output)
        write_prediction(mdata, model, source=source[0] if len(source) == 1 else source, target=target)
        write(mdata, output)
    typer.echo(f"Written to {output}")
