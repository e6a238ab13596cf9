"""Where results go: checked before the work, written after it."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mudata import MuData

    from scmoe.io._place import Place
    from scmoe.model._scmoe import SCMOE

SUFFIXES = (".h5mu", ".h5ad", ".zarr")
MODEL, FIGURES = "model", "figures"


class Results(NamedTuple):
    """Where all that a training leaves goes."""

    data: "Place"
    model: "Place"
    figures: "Place"
    checkpoint: Path


def check_output(
    folder: Path,
    overwrite: bool,
    resume: bool,
    *,
    result: str,
    source: Path | None = None,
    others: tuple[str, ...] = (FIGURES,),
) -> Results:
    """Refuse before the training what would fail after it, or would replace something.

    Parameters
    ----------
    folder, overwrite, resume
        See the options.
    result
        Name of the file or store with the data.
    source
        The file that is read, if one is.
    others
        What is written besides the data and the model.
    """
    from scmoe.datasets._write import check_suffix
    from scmoe.io._files import check_replaceable, check_writable
    from scmoe.io._place import Place
    from scmoe.model._base import SETTINGS, WEIGHTS
    from scmoe.train._fit import CHECKPOINT

    checkpoint = folder / "checkpoints" / CHECKPOINT
    check_writable(folder)
    for part in (folder / FIGURES, checkpoint.parent):
        if part.exists():
            check_writable(part)
    existing = [name for name in (result, MODEL, *others) if _holds_something(folder / name)]
    if existing and not overwrite:
        raise ValueError(
            f"{folder} already holds results ({', '.join(existing)}). Pass --overwrite to replace them, "
            "or choose another folder."
        )
    if source is not None:
        refuse_input(source, folder / result)
    check_suffix(folder / result, Path(result).suffix)
    check_replaceable(folder / MODEL, (WEIGHTS, SETTINGS))
    if resume and not checkpoint.parent.is_dir():
        raise ValueError(f"There is no interrupted training in {folder} to resume. Run without --resume.")
    return Results(Place(folder / result), Place(folder / MODEL), Place(folder / FIGURES), checkpoint)


def _holds_something(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()


def refuse_input(source: Path, output: Path) -> None:
    """Raise if the output would take the place of the file that is read."""
    if output.exists() and source.exists() and output.samefile(source):
        raise ValueError(f"{output} is the file that is read, and would be replaced. Choose another output.")


def load(folder: Path, output: Path, *, overwrite: bool) -> "SCMOE":
    """The model, if the output can be written."""
    from scmoe.datasets._write import check_suffix
    from scmoe.io._files import WriteError
    from scmoe.model._scmoe import SCMOE

    if output.suffix not in SUFFIXES:
        raise WriteError(f"The output must end in .h5mu or .zarr (or .h5ad, of one modality); found {output}.")
    if output.exists() and not overwrite:
        check_suffix(output, output.suffix)
        raise ValueError(f"{output} is there already. Pass --overwrite to replace it, or choose another name.")
    check_suffix(output, output.suffix)
    if not folder.is_dir():
        raise ValueError(f"There is no model folder {folder}; it is what 'scmoe train' or model.save() wrote.")
    return SCMOE.load(folder / MODEL if (folder / MODEL).is_dir() else folder)


def write_result(mdata: "MuData", place: "Place") -> Path:
    """Write data with results, to an .h5ad as one AnnData; returns where they are."""
    from scmoe.datasets._anndata import to_anndata
    from scmoe.datasets._write import write

    data = to_anndata(mdata) if place.path.suffix == ".h5ad" else mdata
    write(data, path := place.now())
    return path


def write_results(
    mdata: "MuData", model: "SCMOE", results: Results, labels_key: str | None, seed: int
) -> tuple[Path, Path, Path]:
    """Write all that a training leaves, the model first; returns where data, model and figures are."""
    from scmoe._keys import Keys
    from scmoe.pl._figures import save_figures
    from scmoe.tl._attention import attention
    from scmoe.tl._expert_usage import expert_usage
    from scmoe.tl._umap import umap

    model.save(folder := results.model.now(), overwrite=True)
    groups = labels_key or Keys().cluster
    expert_usage(mdata, model, groupby=groups)
    attention(mdata, model, groupby=groups)
    umap(mdata, seed=seed)
    file, figures = write_result(mdata, results.data), results.figures.now()
    save_figures(mdata, figures, color=[Keys().cluster, *([labels_key] if labels_key else [])])
    return file, folder, figures
