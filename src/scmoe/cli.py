"""The command line: what `scmoe.tl` does, from file to file."""

from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scmoe._errors import reported_errors
from scmoe._version import __version__
from scmoe.benchmark._cli import app as benchmark

# The scientific libraries take seconds to load, so each command imports what it needs: `scmoe --help` stays instant.
if TYPE_CHECKING:
    from mudata import MuData

    from scmoe.model._scmoe import SCMOE

app = typer.Typer(
    help="Train a sparse mixture-of-experts model on single-cell multi-omics data and use it.",
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(benchmark, name="benchmark")


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
OutputFile = Annotated[Path, typer.Option("--output", "-o", help="File to write (.h5mu).", show_default=False)]
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


def _version(wanted: bool) -> None:
    if wanted:
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
        from scmoe.benchmark._compare import to_markdown
        from scmoe.benchmark._demo import run_demo

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
    n_clusters: Annotated[int | None, typer.Option(min=2, help="Number of clusters, if known.")] = None,
    kind: Kinds = None,
    max_epochs: Epochs = None,
    seed: Seed = 0,
    accelerator: Annotated[Accelerator, typer.Option(help="Where to compute.")] = Accelerator.auto,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results in the folder.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")] = False,
) -> None:
    """Train on FILE; writes result.h5mu, model/ and figures/ to the output folder."""
    with reported_errors("Run the same command with --resume to go on from the last finished epoch."):
        from scmoe.tl._train import train as fit

        _check_accelerator(accelerator)
        mdata = _prepared(file, kind, modality)
        if n_clusters is not None and n_clusters > mdata.n_obs:
            raise ValueError(f"--n-clusters must be at most the number of cells, {mdata.n_obs}; found {n_clusters}.")
        checkpoint = _check_output(output, overwrite, resume)
        options: dict[str, Any] = {} if n_clusters is None else {"n_clusters": n_clusters}
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
        _write_results(mdata, model, output, labels_key, seed)
        checkpoint.unlink(missing_ok=True)
        with suppress(OSError):  # other files in the folder are not ours to remove
            checkpoint.parent.rmdir()
    typer.echo(f"Written to {output}: result.h5mu, model/, figures/")


@app.command()
def annotate(file: File, model: ModelFolder, output: OutputFile, kind: Kinds = None) -> None:
    """Write the labels that a model trained with --labels-key gives to the cells of FILE."""
    with reported_errors():
        from scmoe._io import write_h5mu
        from scmoe.tl._annotate import annotate as write_labels

        loaded = _load(model, output)
        if not loaded.setup.labels:
            raise ValueError(f"The model in {model} was trained without labels. Train one with --labels-key.")
        mdata = _prepared_for(loaded, file, kind, output)
        write_labels(mdata, loaded)
        write_h5mu(mdata, output)
    typer.echo(f"Written to {output}")


@app.command()
def impute(
    file: File,
    model: ModelFolder,
    source: Annotated[list[str], typer.Option(help="Modality to predict from (repeat for several).")],
    target: Annotated[str, typer.Option(help="Modality to predict; it is not read.")],
    output: OutputFile,
    kind: Kinds = None,
) -> None:
    """Predict one modality of the cells of FILE from others."""
    with reported_errors():
        from scmoe._io import write_h5mu
        from scmoe.tl._impute import impute as write_prediction

        loaded = _load(model, output)
        unknown = [name for name in (*source, target) if name not in loaded.modalities]
        if unknown:
            raise ValueError(f"The model has no modality {unknown[0]!r}; it has {', '.join(loaded.modalities)}.")
        mdata = _prepared_for(loaded, file, kind, output)
        write_prediction(mdata, loaded, source=source[0] if len(source) == 1 else source, target=target)
        write_h5mu(mdata, output)
    typer.echo(f"Written to {output}")


def _prepared(file: Path, kinds: list[str] | None, modality: list[str] | None = None) -> "MuData":
    """The data of a file as the model wants it; an .h5ad takes the name of its modality from the option."""
    from scmoe.datasets._read import read
    from scmoe.pp._prepare import prepare

    mdata = read(file, modality=modality[0]) if modality and len(modality) == 1 else read(file)
    prepare(mdata, kinds=_parse_kinds(kinds))
    return mdata


def _parse_kinds(kinds: list[str] | None) -> dict[str, str]:
    for kind in kinds or []:
        if "=" not in kind:
            raise ValueError(f"--kind must look like rna=lognormalized; found {kind!r}.")
    return dict(kind.split("=", 1) for kind in kinds or [])


def _check_output(folder: Path, overwrite: bool, resume: bool) -> Path:
    """Refuse before the training what would fail after it; returns the file for checkpoints."""
    from scmoe._io import check_replaceable, check_writable
    from scmoe.model._save import SETTINGS, WEIGHTS
    from scmoe.train._fit import CHECKPOINT

    checkpoint = folder / "checkpoints" / CHECKPOINT
    check_writable(folder)
    for part in (folder / "figures", checkpoint.parent):
        if part.exists():
            check_writable(part)
    found = [name for name in ("result.h5mu", "model") if (folder / name).exists()]
    if found and not overwrite:
        raise ValueError(
            f"{folder} already holds results ({', '.join(found)}). Pass --overwrite to replace them, "
            "or choose another folder."
        )
    check_replaceable(folder / "model", (WEIGHTS, SETTINGS))
    if resume and not checkpoint.parent.is_dir():
        raise ValueError(f"There is no interrupted training in {folder} to resume. Run without --resume.")
    return checkpoint


def _check_accelerator(accelerator: Accelerator) -> None:
    import torch

    apple = torch.backends.mps.is_available()
    if accelerator is Accelerator.mps and not apple:
        raise ValueError("No Apple GPU (mps) was found. Pass --accelerator auto, cpu or gpu.")
    if accelerator is Accelerator.gpu and not (apple or torch.cuda.is_available()):
        raise ValueError("No GPU was found. Pass --accelerator auto or cpu, or check the driver and the torch build.")


def _load(folder: Path, output: Path) -> "SCMOE":
    """The model, if the name of the output is fine."""
    from scmoe.model._scmoe import SCMOE

    if output.suffix != ".h5mu":
        raise ValueError(f"The output must end in .h5mu; found {output}.")
    if not folder.is_dir():
        raise ValueError(f"There is no model folder {folder}; it is what 'scmoe train' or model.save() wrote.")
    return SCMOE.load(folder / "model" if (folder / "model").is_dir() else folder)


def _prepared_for(model: "SCMOE", file: Path, kinds: list[str] | None, output: Path) -> "MuData":
    """The data of a file, prepared as the model's were; checks last that the output can be written."""
    from scmoe._io import check_writable
    from scmoe.datasets._read import read
    from scmoe.pp._prepare import prepare

    mdata = read(file)
    learned = {name: kind for name, kind in model.setup.kinds.items() if name in mdata.mod}
    prepare(mdata, kinds={**learned, **_parse_kinds(kinds)})
    check_writable(output.parent)
    return mdata


def _write_results(mdata: "MuData", model: "SCMOE", folder: Path, labels_key: str | None, seed: int) -> None:
    from scmoe._io import write_h5mu
    from scmoe._keys import Keys
    from scmoe.pl._figures import save_figures
    from scmoe.tl._attention import attention
    from scmoe.tl._expert_usage import expert_usage
    from scmoe.tl._umap import umap

    groups = labels_key or Keys().cluster
    expert_usage(mdata, model, groupby=groups)
    attention(mdata, model, groupby=groups)
    umap(mdata, seed=seed)
    save_figures(mdata, folder / "figures", color=[Keys().cluster, *([labels_key] if labels_key else [])])
    model.save(folder / "model", overwrite=True)
    write_h5mu(mdata, folder / "result.h5mu")
