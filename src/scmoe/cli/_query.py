"""Commands that use a trained model on the cells of a file."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scmoe._keys import UNKNOWN_LABEL
from scmoe.cli._input import Input
from scmoe.cli._options import (
    CacheDir,
    File,
    Genome,
    Kinds,
    Layers,
    Missing,
    ModelName,
    OnDisk,
    OutputFile,
    Overwrite,
    Search,
    SetAside,
)
from scmoe.cli._wording import reported

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData

    from scmoe.model._scmoe import SCMOE

Verb = Callable[["MuData", "SCMOE"], object]
TransformBatch = Annotated[
    list[str] | None,
    typer.Option("--transform-batch", help="Decode as if all cells were of this batch (repeat for a mean)."),
]


def run(
    source: Input,
    model_name: str,
    output: Path,
    overwrite: bool,
    verb: Verb,
    check: Callable[["SCMOE"], None] = lambda model: None,
) -> None:
    """Load the model, read and prepare the file, apply the verb, and write.

    Parameters
    ----------
    source
        The file, and what the user says about it.
    model_name, output, overwrite
        See the options.
    verb
        Of `scmoe.tl`.
    check
        Refuses a model that cannot do it, before the file is read.
    """
    with reported():
        from scmoe.cli._files import load, refuse_input, write_result, write_somewhere
        from scmoe.cli._input import read_prepared_for
        from scmoe.io._files import check_writable
        from scmoe.io._place import Place, check_space, size_of

        refuse_input(source.file, output)
        place = Place(output)
        model = load(model_name, output, overwrite=overwrite)
        check(model)
        mdata = read_prepared_for(model, source, output)
        check_space(check_writable(output.parent), size_of(mdata))
        verb(mdata, model)
        path = place.now()
        write_somewhere(path, lambda path: write_result(mdata, path))
    typer.echo(f"Written to {path}")


def map_query(
    file: File,
    model_name: ModelName,
    output: OutputFile,
    adapt: Annotated[
        bool, typer.Option("--adapt", help="Take the effects of new batches out of the embedding first.")
    ] = False,
    kind: Kinds = None,
    layer: Layers = None,
    genome: Genome = None,
    missing: Missing = Search.auto,
    set_aside: SetAside = Search.auto,
    on_disk: OnDisk = False,
    cache_dir: CacheDir = None,
    overwrite: Overwrite = False,
) -> None:
    """Map the cells of FILE: embedding, labels if the model has some, and how well each cell fits."""

    def verb(mdata: "MuData", model: "SCMOE") -> object:
        from scmoe.tl._map_query import map_query

        return map_query(mdata, model, adapt=adapt)

    run(Input(file, kind, layer, genome, missing, set_aside, on_disk, cache_dir), model_name, output, overwrite, verb)


def embed(
    file: File,
    model_name: ModelName,
    output: OutputFile,
    kind: Kinds = None,
    layer: Layers = None,
    genome: Genome = None,
    missing: Missing = Search.auto,
    set_aside: SetAside = Search.auto,
    on_disk: OnDisk = False,
    cache_dir: CacheDir = None,
    overwrite: Overwrite = False,
) -> None:
    """Write the embedding of the cells of FILE."""

    def verb(mdata: "MuData", model: "SCMOE") -> object:
        from scmoe.tl._embed import embed

        return embed(mdata, model)

    run(Input(file, kind, layer, genome, missing, set_aside, on_disk, cache_dir), model_name, output, overwrite, verb)


def annotate(
    file: File,
    model_name: ModelName,
    output: OutputFile,
    coverage: Annotated[
        float, typer.Option(help="Share of cells of known types that keep a label; the least sure ones lose it.")
    ] = 1.0,
    reject_label: Annotated[str, typer.Option(help="Name for cells without a label.")] = UNKNOWN_LABEL,
    majority: Annotated[
        bool, typer.Option("--majority", help="Cluster the cells, and write the label of most cells of a cluster, too.")
    ] = False,
    levels: Annotated[
        Path | None,
        typer.Option(
            help="Table of names (.csv), a column a level from coarse to fine, a row a label: cells too unsure of "
            "their label get the name of a coarser level.",
            show_default=False,
        ),
    ] = None,
    level_confidence: Annotated[float, typer.Option(help="Probability that a name of a level must have.")] = 0.9,
    kind: Kinds = None,
    layer: Layers = None,
    genome: Genome = None,
    missing: Missing = Search.auto,
    set_aside: SetAside = Search.auto,
    on_disk: OnDisk = False,
    cache_dir: CacheDir = None,
    overwrite: Overwrite = False,
) -> None:
    """Write the labels that a model trained with --labels-key gives to the cells of FILE."""

    def check(model: "SCMOE") -> None:
        if not model.setup.labels:
            raise ValueError(f"The model {model_name} was trained without labels. Train one with --labels-key.")
        if levels is not None:
            from scmoe.tl._annotate import check_hierarchy

            check_hierarchy(model.setup.labels, read_levels(levels, model.setup.labels), level_confidence)

    def verb(mdata: "MuData", model: "SCMOE") -> None:
        from scmoe.tl._annotate import annotate
        from scmoe.tl._cluster import cluster
        from scmoe.tl._embed import embed
        from scmoe.tl._majority_vote import majority_vote

        annotate(
            mdata,
            model,
            coverage=coverage,
            reject_label=reject_label,
            hierarchy=None if levels is None else read_levels(levels, model.setup.labels),
            rollup_confidence=level_confidence,
        )
        if majority:
            embed(mdata, model)
            cluster(mdata, seed=model.seed)
            majority_vote(mdata)

    run(
        Input(file, kind, layer, genome, missing, set_aside, on_disk, cache_dir),
        model_name,
        output,
        overwrite,
        verb,
        check,
    )


def read_levels(path: Path, labels: Sequence[str]) -> "pd.DataFrame":
    """A table of names from coarse to fine, the last column with the model's labels."""
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""], skipinitialspace=True)
    except FileNotFoundError:
        raise ValueError(f"There is no table {path} of levels. Check --levels.") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"--levels {path} is no table of names separated by commas: {error}.") from error
    unknown = [label for label in labels if table.empty or label not in set(table.iloc[:, -1].dropna())]
    if unknown:
        raise ValueError(
            f"The last column of --levels {path} must have all labels of the model; {len(unknown)} of {len(labels)} "
            f"are not there: {', '.join(unknown[:5])}. Columns go from coarse to fine: {', '.join(map(str, table))}."
        )
    return table


def impute(
    file: File,
    model_name: ModelName,
    source: Annotated[list[str], typer.Option(help="Modality to predict from (repeat for several).")],
    target: Annotated[str, typer.Option(help="Modality to predict; it is not read.")],
    output: OutputFile,
    features: Annotated[
        list[str] | None, typer.Option("--features", help="Feature of it to predict (repeat for several); default all.")
    ] = None,
    transform_batch: TransformBatch = None,
    sd: Annotated[bool, typer.Option("--sd", help="Write standard deviations as well.")] = False,
    interval: Annotated[bool, typer.Option("--interval", help="Write the ends of intervals as well.")] = False,
    kind: Kinds = None,
    layer: Layers = None,
    genome: Genome = None,
    missing: Missing = Search.auto,
    set_aside: SetAside = Search.auto,
    on_disk: OnDisk = False,
    cache_dir: CacheDir = None,
    overwrite: Overwrite = False,
) -> None:
    """Predict one modality of the cells of FILE from others."""

    def verb(mdata: "MuData", model: "SCMOE") -> object:
        from scmoe.tl._impute import impute

        names = source[0] if len(source) == 1 else source
        return impute(
            mdata,
            model,
            source=names,
            target=target,
            features=features,
            transform_batch=transform_batch,
            sd=sd,
            interval=interval,
        )

    run(
        Input(file, kind, layer, genome, missing, set_aside, on_disk, cache_dir),
        model_name,
        output,
        overwrite,
        verb,
        lambda model: _check_modalities(model, *source, target),
    )


def denoise(
    file: File,
    model_name: ModelName,
    modality: Annotated[str, typer.Option(help="Modality to denoise.")],
    output: OutputFile,
    transform_batch: TransformBatch = None,
    kind: Kinds = None,
    layer: Layers = None,
    genome: Genome = None,
    missing: Missing = Search.auto,
    set_aside: SetAside = Search.auto,
    on_disk: OnDisk = False,
    cache_dir: CacheDir = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a modality of the cells of FILE without noise, and if wished without batch effects."""

    def verb(mdata: "MuData", model: "SCMOE") -> object:
        from scmoe.tl._denoise import denoise

        return denoise(mdata, model, modality=modality, transform_batch=transform_batch)

    run(
        Input(file, kind, layer, genome, missing, set_aside, on_disk, cache_dir),
        model_name,
        output,
        overwrite,
        verb,
        lambda model: _check_modalities(model, modality),
    )


def _check_modalities(model: "SCMOE", *names: str) -> None:
    from scmoe._check import missing_modality

    for name in names:
        if name not in model.modalities:
            raise missing_modality(name, "This model", model.feature_names)
