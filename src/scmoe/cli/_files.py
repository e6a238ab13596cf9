"""Where results go: checked before the work, written after it."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mudata import MuData

    from scmoe.model._scmoe import SCMOE

SUFFIXES = (".h5mu", ".h5ad", ".zarr")


def check_output(folder: Path, overwrite: bool, resume: bool, *, result: str) -> Path:
    """Refuse before the training what would fail after it; returns the file for checkpoints."""
    from scmoe.datasets._write import check_suffix
    from scmoe.io._files import check_replaceable, check_writable
    from scmoe.model._folder import SETTINGS, WEIGHTS
    from scmoe.train._checkpoint import CHECKPOINT

    checkpoint = folder / "checkpoints" / CHECKPOINT
    check_writable(folder)
    for part in (folder / "figures", checkpoint.parent):
        if part.exists():
            check_writable(part)
    existing = [name for name in (result, "model") if (folder / name).exists()]
    if existing and not overwrite:
        raise ValueError(
            f"{folder} already holds results ({', '.join(existing)}). Pass --overwrite to replace them, "
            "or choose another folder."
        )
    check_suffix(folder / result, Path(result).suffix)
    check_replaceable(folder / "model", (WEIGHTS, SETTINGS))
    if resume and not checkpoint.parent.is_dir():
        raise ValueError(f"There is no interrupted training in {folder} to resume. Run without --resume.")
    return checkpoint


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
    """Write all that a training leaves."""
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
    write_result(mdata, folder / result)
