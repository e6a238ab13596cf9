"""Where results go: checked before the work, written after it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mudata import MuData

    from scmoe.model._scmoe import SCMOE

SUFFIXES = (".h5mu", ".h5ad", ".zarr")


@contextmanager
def training_output(folder: Path, overwrite: bool, resume: bool, *, result: str) -> Iterator[Path]:
    """Keep other runs out of the folder of a training; yields the folder for checkpoints, of use until all is done.

    What would fail after the training is refused before it.
    """
    from scmoe.io._lock import sole_run
    from scmoe.train._checkpoint import CHECKPOINT

    checkpoint = folder / "checkpoints" / CHECKPOINT
    with sole_run(folder):
        _check_output(folder, checkpoint, overwrite, resume, result)
        yield checkpoint.parent
        checkpoint.unlink(missing_ok=True)
        with suppress(OSError):  # other files in the folder are not ours to remove
            checkpoint.parent.rmdir()


def _check_output(folder: Path, checkpoint: Path, overwrite: bool, resume: bool, result: str) -> None:
    from scmoe.datasets._write import check_suffix
    from scmoe.io._files import check_replaceable, check_writable
    from scmoe.model._folder import SETTINGS, WEIGHTS

    for part in (folder / "figures", checkpoint.parent):
        if part.exists():
            check_writable(part)
    existing = [name for name in (result, "model") if (folder / name).exists()]
    if existing and not overwrite and not (resume and checkpoint.exists()):  # else they are of the same training
        raise ValueError(
            f"{folder} already holds results ({', '.join(existing)}). Pass --overwrite to replace them, "
            "or choose another folder."
        )
    if checkpoint.exists() and not overwrite and not resume:
        raise ValueError(
            f"{folder} holds an interrupted training. Pass --resume to go on with it, --overwrite to start anew, or "
            "choose another folder."
        )
    check_suffix(folder / result, Path(result).suffix)
    check_replaceable(folder / "model", (WEIGHTS, SETTINGS))
    if resume and not checkpoint.parent.is_dir():
        raise ValueError(f"There is no interrupted training in {folder} to resume. Run without --resume.")


def write_somewhere(path: Path, write: Callable[[Path], None]) -> None:
    """Write results of long work to a file or folder; if that fails, beside it or among temporary files.

    Raises
    ------
    WriteError
        They could not be written to `path`; the message says where they are instead.
    """
    from scmoe.io._files import WriteError
    from scmoe.io._leftovers import remove

    try:
        write(path)
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
    beside = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(1))
    yield next(other for other in beside if not other.exists())
    with suppress(OSError):
        yield Path(mkdtemp(prefix="scmoe-")) / path.name


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
    return SCMOE.load(folder / "model" if (folder / "model").is_dir() else folder)


def write_result(mdata: "MuData", path: Path) -> None:
    """Write data with results; to an .h5ad as one AnnData."""
    from scmoe.datasets._anndata import to_anndata
    from scmoe.datasets._write import write

    write(to_anndata(mdata) if path.suffix == ".h5ad" else mdata, path)


def write_results(
    mdata: "MuData", model: "SCMOE", folder: Path, result: str, labels_key: str | None, seed: int
) -> None:
    """Write all that a training leaves; first the model, which alone cannot be made again in no time."""
    from scmoe._keys import Keys
    from scmoe.pl._figures import save_figures
    from scmoe.tl._attention import attention
    from scmoe.tl._expert_usage import expert_usage
    from scmoe.tl._umap import umap

    model.save(folder / "model", overwrite=True)
    groups = labels_key or Keys().cluster
    expert_usage(mdata, model, groupby=groups)
    attention(mdata, model, groupby=groups)
    umap(mdata, seed=seed)
    write_result(mdata, folder / result)
    save_figures(mdata, folder / "figures", color=[Keys().cluster, *([labels_key] if labels_key else [])])
