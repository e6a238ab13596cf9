"""The command line: what `scmoe.tl` does, from file to file."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from scmoe._keys import HIGHLY_VARIABLE, UNKNOWN_LABEL
from scmoe._log import is_first
from scmoe._version import __version__
from scmoe.benchmark._cli import app as benchmark
from scmoe.cli._cache import app as cache
from scmoe.cli._config import with_config, write_run
from scmoe.cli._export import export
from scmoe.cli._info import info
from scmoe.cli._markers import markers
from scmoe.cli._model import app as model_app
from scmoe.cli._options import (
    Accelerator,
    CacheDir,
    Devices,
    Epochs,
    File,
    FileFormat,
    Genome,
    IsAtlas,
    Kinds,
    Layers,
    Loggers,
    Missing,
    Nodes,
    Number,
    OnDisk,
    Overwrite,
    Search,
    Seed,
    SetAside,
    Where,
)
from scmoe.cli._pretrain import HELP, pretrain
from scmoe.cli._query import annotate, denoise, embed, impute, map_query
from scmoe.cli._report import report
from scmoe.cli._wording import reported

# The scientific libraries take seconds to load, so each command imports what it needs: `scmoe --help` stays instant.
app = typer.Typer(
    help="Train a sparse mixture-of-experts model on single-cell multi-omics data and use it.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
with suppress(ModuleNotFoundError):  # the package works without its studies
    from scmoe.studies._cli import app as studies

    benchmark.registered_commands.extend(studies.registered_commands)
app.add_typer(benchmark, name="benchmark")
app.add_typer(cache, name="cache")
app.add_typer(model_app, name="model")
app.command(help=HELP)(with_config(pretrain))


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
@with_config
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("scmoe_demo"),
    seed: Seed = 0,
    max_epochs: Epochs = None,
    overwrite: Overwrite = False,
) -> None:
    """Run the whole job on bundled bone-marrow data (RNA and proteins) and compare it with PCA and ridge regression."""
    with reported("Run the command again to start over."):
        from scmoe.benchmark.demo._run import COMPARISON, RESULT, run_demo
        from scmoe.benchmark.demo._scores import to_markdown
        from scmoe.cli._files import FIGURES, MODEL, check_output
        from scmoe.io._lock import sole_run

        with sole_run(output):
            check_output(output, overwrite, (RESULT, MODEL, FIGURES, *COMPARISON))
            write_run(output)
            result = run_demo(output, seed=seed, max_epochs=max_epochs)
    typer.echo(to_markdown(result))
    typer.echo(f"Written to {output}: result.h5mu, model/, figures/, comparison.json, comparison.md")


@app.command()
@with_config
def train(
    file: File,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.", show_default=False)],
    modality: Annotated[
        list[str] | None, typer.Option(help="Modality to use (repeat for several); default all.")
    ] = None,
    batch_key: Annotated[
        str | None, typer.Option("--batch-key", "--batch", help="Column of obs with the batch or donor.")
    ] = None,
    labels_key: Annotated[str | None, typer.Option(help="Column of obs with labels to learn.")] = None,
    unlabeled: Annotated[str, typer.Option(help="What cells without a label are called.")] = UNKNOWN_LABEL,
    class_balance: Annotated[
        str | None,
        typer.Option(help="How labels with few cells are treated, e.g. inverse (default), none or logit_adjusted."),
    ] = None,
    split_key: Annotated[
        str | None, typer.Option(help="Column of obs with train, validation and test; default a random split.")
    ] = None,
    label_weight: Annotated[
        float | None, typer.Option(min=0, help="Let labels shape the network, with this weight; default 0.")
    ] = None,
    n_clusters: Annotated[int | None, typer.Option(min=2, help="Number of clusters, if known.")] = None,
    predict: Annotated[
        bool, typer.Option("--predict", help="Write each modality as predicted from each other one, too.")
    ] = False,
    use_var: Annotated[
        str, typer.Option(help="Boolean column of var with the features to use, where a modality has it.")
    ] = HIGHLY_VARIABLE,
    all_features: Annotated[bool, typer.Option("--all-features", help="Use all features, marked or not.")] = False,
    n_top_features: Annotated[
        int | None, typer.Option(min=1, help="Variable features to choose; default where there are very many.")
    ] = None,
    kind: Kinds = None,
    layer: Layers = None,
    genome: Genome = None,
    missing: Missing = Search.auto,
    set_aside: SetAside = Search.auto,
    on_disk: OnDisk = False,
    cache_dir: CacheDir = None,
    atlas: IsAtlas = False,
    max_epochs: Epochs = None,
    seed: Seed = 0,
    file_format: Annotated[FileFormat, typer.Option("--format", help="How the result is written.")] = FileFormat.h5mu,
    accelerator: Where = Accelerator.auto,
    devices: Number = "auto",
    nodes: Nodes = 1,
    logger: Loggers = None,
    overwrite: Overwrite = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")] = False,
) -> None:
    """Train on FILE; writes result.h5mu (or .h5ad, .zarr), model/ and figures/ to the output folder."""
    result = f"result.{file_format.value}"
    with reported("Run the same command with --resume to go on from the last finished epoch."):
        from scmoe.cli._files import training_output, write_results, write_somewhere
        from scmoe.cli._input import Input, read_prepared
        from scmoe.cli._loggers import logger_kwargs
        from scmoe.io._place import size_of
        from scmoe.tl._tables import groups_of
        from scmoe.tl._train import train as fit

        where = Devices(accelerator, devices, nodes).train_kwargs(on_disk=on_disk)
        where |= logger_kwargs(logger, output) | ({"atlas": file} if atlas else {})
        mdata = read_prepared(
            Input(file, kind, layer, genome, missing, set_aside, on_disk, cache_dir, atlas),
            modality,
            suffix=f".{file_format.value}",
            batch_key=batch_key,
            n_top_features=n_top_features,
        )
        if n_clusters is not None and n_clusters > mdata.n_obs:
            raise ValueError(f"--n-clusters must be at most the number of cells, {mdata.n_obs}; found {n_clusters}.")
        groups_of(mdata, labels_key)  # by which tables are made after the training
        arguments = {"n_clusters": n_clusters, "class_balance": class_balance, "label_weight": label_weight}
        options: dict[str, Any] = {name: value for name, value in arguments.items() if value is not None}
        with training_output(output, overwrite, resume, result=result, size=size_of(mdata), source=file) as results:
            model = fit(
                mdata,
                modalities=modality,
                batch_key=batch_key,
                labels_key=labels_key,
                unlabeled_category=unlabeled,
                use_var=None if all_features else use_var,
                split_key=split_key,
                max_epochs=max_epochs,
                predict=predict,
                seed=seed,
                train_kwargs={**where, **results.train_kwargs(resume)},
                **options,
            )
            if not is_first():
                return
            data, folder, figures = write_somewhere(
                output, lambda place: write_results(mdata, model, results.within(place), labels_key, seed)
            )
    typer.echo(f"Written to {output}: {data.name}, {folder.name}/, {figures.name}/")


app.command()(info)
app.command("map")(with_config(map_query, "map"))
for command in (embed, annotate, impute, denoise, markers, report, export):
    app.command()(with_config(command))
