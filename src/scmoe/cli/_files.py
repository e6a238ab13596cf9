"""Where results go: checked before the work, written after it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from scmoe._log import is_first
from scmoe.cli._config import write_run
from scmoe.model.hub._contents import MODEL

if TYPE_CHECKING:
    from mudata import MuData

    from scmoe.io._place import Place
    from scmoe.model._scmoe import SCMOE

SUFFIXES = (".h5mu", ".h5ad", ".zarr")
FIGURES = "figures"
T = TypeVar("T")


class Results(NamedTuple):
    """Where all that a training leaves goes."""

    data: "Place"
    model: "Place"
    figures: "Place"
    checkpoints: Path

    def train_kwargs(self, resume: bool) -> dict[str, Any]:
        """What a training from file to file passes on."""
        return {"checkpoint_dir": self.checkpoints, "resume": resume}

    def within(self, folder: Path) -> "Results":
        """The same in another folder; the checkpoints stay where they are."""
        from scmoe.io._place import Place

        if folder == self.data.path.parent:
            return self
        data, model, figures = (Place(folder / place.path.name) for place in (self.data, self.model, self.figures))
        return Results(data, model, figures, self.checkpoints)


def is_lead() -> bool:
    """Whether this process is alone, or the first of those that SLURM or torchrun have started, before they meet."""
    return is_first() and not os.environ.get("SLURM_PROCID", "0").strip("0")


@contextmanager
def training_output(
    folder: Path, overwrite: bool, resume: bool, *, result: str, size: int, source: Path, figures: bool = True
) -> Iterator[Results]:
    """Keep other runs out of the folder of a training; the one for checkpoints is of use until all is done.

    What would fail after the training, or would replace something, is refused before it. Of several processes that
    train together, one does all this for the others.

    Parameters
    ----------
    folder, overwrite, resume
        See the options.
    result
        Name of the file or store with the data.
    size
        Bytes of the data.
    source
        The file that is read.
    figures
        Whether figures are written.
    """
    from scmoe.io._lock import sole_run
    from scmoe.io._place import Place, check_space

    checkpoint = _checkpoint_of(folder)
    results = Results(Place(folder / result), Place(folder / MODEL), Place(folder / FIGURES), checkpoint.parent)
    if not is_lead():
        yield results
        return
    with sole_run(folder):
        check_output(folder, overwrite, (result, MODEL, *((FIGURES,) if figures else ())), resume=resume)
        refuse_input(source, folder / result)
        check_space(folder, size)
        write_run(folder)
        yield results
        checkpoint.unlink(missing_ok=True)
        with suppress(OSError):  # other files in the folder are not ours to remove
            checkpoint.parent.rmdir()


def check_output(folder: Path, overwrite: bool, names: tuple[str, ...], *, resume: bool = False) -> None:
    """Refuse a folder in which results could not be written, or would replace something.

    Parameters
    ----------
    folder, overwrite, resume
        See the options.
    names
        What is to be written there, the data first.
    """
    from scmoe.datasets._write import check_suffix
    from scmoe.io._files import check_replaceable, check_writable
    from scmoe.model._folder import SETTINGS, WEIGHTS

    checkpoint = _checkpoint_of(folder)
    check_writable(folder)
    for part in (folder / FIGURES, checkpoint.parent):
        if part.exists():
            check_writable(part)
    existing = [name for name in names if _holds_something(folder / name)]
    if existing and not overwrite and not (resume and checkpoint.exists()):  # else they are of the same training
        raise ValueError(
            f"{folder} already holds results ({', '.join(existing)}). Pass --overwrite to replace them, "
            "or choose another folder."
        )
    check_suffix(folder / names[0], Path(names[0]).suffix)
    check_replaceable(folder / MODEL, (WEIGHTS, SETTINGS))
    if checkpoint.exists() and not overwrite and not resume:
        raise ValueError(
            f"{folder} holds an interrupted training. Pass --resume to go on with it, --overwrite to start anew, or "
            "choose another folder."
        )
    if resume and not checkpoint.parent.is_dir():
        raise ValueError(f"There is no interrupted training in {folder} to resume. Run without --resume.")


def _checkpoint_of(folder: Path) -> Path:
    from scmoe.train._checkpoint import CHECKPOINT

    return folder / "checkpoints" / CHECKPOINT


def _holds_something(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()


def refuse_input(source: Path, output: Path) -> None:
    """Raise if the output would take the place of the file that is read."""
    if output.exists() and source.exists() and output.samefile(source):
        raise ValueError(f"{output} is the file that is read, and would be replaced. Choose another output.")


def write_somewhere(path: Path, write: Callable[[Path], T]) -> T:
    """Write results of long work to a file or folder; if that fails, beside it or among temporary files.

    Raises
    ------
    WriteError
        They could not be written to `path`; the message says where they are instead.
    """
    from scmoe.io._files import WriteError
    from scmoe.io._leftovers import remove

    try:
        return write(path)
    except WriteError as error:
        for place in _other_places(path):
            try:
                write(place)
            except OSError:
                remove(place)
            else:
                raise WriteError(f"{error} The results are in {place} instead.") from error
        raise


def _other_places(path: Path) -> Iterator[Path]:
    from scmoe.io._place import free_beside

    yield free_beside(path, first=1)
    with suppress(OSError):
        yield Path(mkdtemp(prefix="scmoe-")) / path.name


def load(name: str, output: Path, *, overwrite: bool) -> "SCMOE":
    """The model, if the output can be written."""
    from scmoe.datasets._write import check_suffix
    from scmoe.io._files import WriteError
    from scmoe.model._scmoe import SCMOE
    from scmoe.model.hub._locate import locate_model

    if output.suffix not in SUFFIXES:
        raise WriteError(f"The output must end in .h5mu or .zarr (or .h5ad, of one modality); found {output}.")
    check_suffix(output, output.suffix)
    refuse_existing(output, overwrite)
    return SCMOE.load(locate_model(name))


def refuse_existing(output: Path, overwrite: bool) -> None:
    """Raise if the output is there and may not be replaced."""
    if output.exists() and not overwrite:
        raise ValueError(f"{output} is there already. Pass --overwrite to replace it, or choose another name.")


def write_result(mdata: "MuData", path: Path) -> None:
    """Write data with results; to an .h5ad as one AnnData."""
    from scmoe.datasets._anndata import to_anndata
    from scmoe.datasets._write import write

    write(to_anndata(mdata) if path.suffix == ".h5ad" else mdata, path)


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
    write_result(mdata, file := results.data.now())
    figures = results.figures.now()
    save_figures(mdata, figures, color=[Keys().cluster, *([labels_key] if labels_key else [])])
    return file, folder, figures
