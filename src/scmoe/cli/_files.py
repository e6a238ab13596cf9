"""From files to data and models, and back."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mudata import MuData

    from scmoe.model._scmoe import SCMOE


def read_prepared(file: Path, kinds: list[str] | None, modality: list[str] | None = None, *, suffix: str) -> "MuData":
    """The data of a file as the model wants it, if they can be written to a file that ends in `suffix`.

    An .h5ad takes the name of its modality from the option.
    """
    from scmoe.datasets._read import read
    from scmoe.io._storable import refuse_unstorable
    from scmoe.pp._prepare import prepare

    mdata = read(file, modality=modality[0]) if modality and len(modality) == 1 else read(file)
    refuse_unstorable(mdata, suffix)
    prepare(mdata, kinds=_parse_kinds(kinds))
    return mdata


def _parse_kinds(kinds: list[str] | None) -> dict[str, str]:
    for kind in kinds or []:
        if "=" not in kind:
            raise ValueError(f"--kind must look like rna=lognormalized; found {kind!r}.")
    return dict(kind.split("=", 1) for kind in kinds or [])


def check_output(folder: Path, overwrite: bool, resume: bool, *, result: str) -> Path:
    """Refuse before the training what would fail after it; returns the file for checkpoints."""
    from scmoe.datasets._write import check_suffix
    from scmoe.io._files import check_replaceable, check_writable
    from scmoe.model._base import SETTINGS, WEIGHTS
    from scmoe.train._fit import CHECKPOINT

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


def load(folder: Path, output: Path) -> "SCMOE":
    """The model, if the name of the output is fine."""
    from scmoe.datasets._write import check_suffix
    from scmoe.model._scmoe import SCMOE

    check_suffix(output, ".h5mu")
    if not folder.is_dir():
        raise ValueError(f"There is no model folder {folder}; it is what 'scmoe train' or model.save() wrote.")
    return SCMOE.load(folder / "model" if (folder / "model").is_dir() else folder)


def read_prepared_for(model: "SCMOE", file: Path, kinds: list[str] | None, output: Path) -> "MuData":
    """The data of a file, prepared as the model's were; checks last that the output can be written."""
    from scmoe.datasets._read import read
    from scmoe.io._files import check_writable
    from scmoe.io._storable import refuse_unstorable
    from scmoe.pp._prepare import prepare

    mdata = read(file)
    refuse_unstorable(mdata, output.suffix)
    model_kinds = {name: kind for name, kind in model.setup.kinds.items() if name in mdata.mod}
    prepare(mdata, kinds={**model_kinds, **_parse_kinds(kinds)})
    check_writable(output.parent)
    return mdata


def write_results(
    mdata: "MuData", model: "SCMOE", folder: Path, result: str, labels_key: str | None, seed: int
) -> None:
    from scmoe._keys import Keys
    from scmoe.datasets._write import write
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
    write(mdata, folder / result)
