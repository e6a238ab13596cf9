"""`scmoe pretrain`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from scmoe._log import is_first
from scmoe.cli._options import Accelerator, CacheDir, Devices, Epochs, Loggers, Nodes, Number, OnDisk, Seed, Where
from scmoe.cli._wording import reported

if TYPE_CHECKING:
    from anndata import AnnData

    from scmoe.cli._files import Results
    from scmoe.tokens._counts import Values as CountValues
    from scmoe.tokens._vocabulary import Vocabulary


class Preset(StrEnum):
    """Size of the network."""

    tiny = "tiny"
    m3 = "3m"
    m10 = "10m"
    m100 = "100m"


class FileFormat(StrEnum):
    """How the result is written."""

    h5ad = "h5ad"
    zarr = "zarr"


class Values(StrEnum):
    """What the matrix holds."""

    counts = "counts"
    ambient = "ambient"
    lognormalized = "lognormalized"


HELP = (
    "Pretrain a gene model on the RNA counts of FILES, of which there may be several, or folders of them; writes "
    "result.h5ad (or .zarr) and model/ to the output folder."
)


def pretrain(
    files: Annotated[
        list[Path],
        typer.Argument(help="Data: .h5mu, .zarr, .h5ad, 10x .h5, or a folder of such files.", show_default=False),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.", show_default=False)],
    modality: Annotated[str, typer.Option(help="Modality with the RNA counts.")] = "rna",
    layer: Annotated[str | None, typer.Option(help="Layer with the counts; default X.")] = None,
    values: Annotated[Values, typer.Option(help="What the matrix holds.")] = Values.counts,
    vocabulary: Annotated[
        Path | None,
        typer.Option(
            help="Genes to know: .json, or a table with a header (.csv, .tsv, .txt); default those of the data."
        ),
    ] = None,
    preset: Annotated[Preset, typer.Option(help="Size of the network.")] = Preset.tiny,
    on_disk: OnDisk = False,
    cache_dir: CacheDir = None,
    max_epochs: Epochs = None,
    seed: Seed = 0,
    file_format: Annotated[FileFormat, typer.Option("--format", help="How the result is written.")] = FileFormat.h5ad,
    accelerator: Where = Accelerator.auto,
    devices: Number = "auto",
    nodes: Nodes = 1,
    logger: Loggers = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results in the folder.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")] = False,
) -> None:
    """Pretrain a gene model, from file to file."""
    result = f"result.{file_format.value}"
    with reported("Run the same command with --resume to go on from the last finished epoch."):
        from scmoe.cli._files import training_output, write_somewhere
        from scmoe.cli._loggers import logger_kwargs
        from scmoe.datasets._write import write
        from scmoe.io._place import size_of
        from scmoe.io._storable import refuse_unstorable
        from scmoe.tl._pretrain import pretrain as fit
        from scmoe.tokens._vocabulary import Vocabulary

        where = Devices(accelerator, devices, nodes).train_kwargs(on_disk=on_disk)
        where |= logger_kwargs(logger, output)
        genes = None if vocabulary is None else Vocabulary.from_file(vocabulary)
        data = read_data(files, genes, modality, layer, values, on_disk, cache_dir)
        adata = data.adata
        refuse_unstorable(adata, f".{file_format.value}")

        def write_all(results: "Results") -> tuple[Path, Path]:
            model.save(folder := results.model.now(), overwrite=True)
            write(adata, written := results.data.now())
            return written, folder

        with training_output(
            output, overwrite, resume, result=result, size=size_of(adata), source=files[0], figures=False
        ) as results:
            model = fit(
                adata,
                layer=data.layer,
                values=data.values,
                vocabulary=genes,
                preset=preset.value,
                max_epochs=max_epochs,
                seed=seed,
                train_kwargs={**where, **results.train_kwargs(resume)},
            )
            if not is_first():
                return
            written, folder = write_somewhere(output, lambda place: write_all(results.within(place)))
    typer.echo(f"Written to {output}: {written.name}, {folder.name}/")


class Data(NamedTuple):
    """What a model is pretrained on."""

    adata: "AnnData"
    layer: str | None
    """Where its counts are."""
    values: "CountValues"
    """What they are."""


def read_data(
    files: list[Path],
    vocabulary: "Vocabulary | None",
    modality: str,
    layer: str | None,
    values: Values,
    on_disk: bool,
    cache_dir: Path | None,
) -> Data:
    """One file as it is, or the counts of several with their genes in one order."""
    from scmoe.tokens._files import files_of, read_files, read_modality

    paths = files_of(files)
    if len(paths) == 1:
        adata = read_modality(paths[0], modality, on_disk=on_disk, cache_dir=cache_dir)
        return Data(adata, layer, values.value)
    options = {"modality": modality, "layer": layer, "on_disk": on_disk, "cache_dir": cache_dir}
    adata = read_files(paths, vocabulary, values=values.value, **options)  # type: ignore[arg-type]
    # Logarithms were turned into proportions, which are no whole numbers.
    return Data(adata, None, Values.counts.value if values is Values.counts else Values.ambient.value)
