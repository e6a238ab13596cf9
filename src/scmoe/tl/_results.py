"""Before long work: whether its results can be written, and take the place of nothing that it reads."""

from collections.abc import Collection, Mapping
from itertools import count
from typing import TYPE_CHECKING

from mudata import MuData

from scmoe._check import check_free
from scmoe._keys import UNS_ROOT, Keys
from scmoe.data._setup import Setup
from scmoe.tl._write import LAYERS, OBS, OBSM, UNS, copied_columns, noted_paths

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE


def check_results(
    mdata: MuData, key: str, paths: Collection[str] = (), inputs: Mapping[str, str] | None = None
) -> None:
    """Raise if results could not be written, or would take the place of something that they are made from.

    Parameters
    ----------
    mdata
        The data.
    key
        The ``key_added`` of the results.
    paths
        What is written or removed besides tables in ``uns``, such as ``"obs/scmoe_label"``; see
        `scmoe.tl._write.note_results`.
    inputs
        What is read, as such paths, and the argument that says so; see `inputs_of`.

    Raises
    ------
    ValueError
        The name is none, ``uns`` holds something else under it, a modality or results of another name are where
        results would be, or an input is.
    """
    Keys(name=key)
    for name in {key, UNS_ROOT}:
        check_free(mdata, name)
    _check_modalities(mdata, key, paths)
    _check_other_results(mdata, key, paths)
    overlap = [path for path in inputs or {} if path in _with_copies(mdata, paths)]
    if inputs and overlap:
        listing = " and ".join(f"{_place(path)} ({inputs[path]})" for path in overlap)
        raise ValueError(
            f"{listing} {'are' if len(overlap) > 1 else 'is'} read, and would be replaced or removed by results of the "
            f"name {key!r}. Rename it before the training, or, in Python, pass key_added={free_key(mdata, key)!r}."
        )


def check_trained(model: "SCMOE") -> None:
    """Raise for a model without training, before anything is looked for in the data.

    Raises
    ------
    RuntimeError
        It has none.
    """
    _ = model.fitted


def inputs_of(setup: Setup, mdata: MuData, split_key: str | None = None) -> dict[str, str]:
    """Columns and layers that a model reads and these data have, as paths, and the arguments that named them."""
    columns = {
        "batch_key": [setup.batch_key],
        "categorical_covariate_keys": setup.categorical,
        "continuous_covariate_keys": setup.continuous,
        "labels_key": [setup.labels_key],
        "split_key": [split_key],
    }
    inputs = {f"{OBS}/{key}": argument for argument, keys in columns.items() for key in keys if key in mdata.obs}
    layers = {name: layer for name, layer in setup.layers.items() if layer is not None and name in mdata.mod}
    return inputs | {f"{name}/{LAYERS}/{layer}": "layers" for name, layer in layers.items()}


def free_key(mdata: MuData, key: str) -> str:
    """A name under which there are no results yet."""
    return next(name for name in (f"{key}{i}" for i in count(2)) if name not in mdata.uns)


def _check_modalities(mdata: MuData, key: str, paths: Collection[str]) -> None:
    """Mudata keeps the mask of each modality in ``obsm``, under the modality's name."""
    for name in mdata.mod:
        if f"{OBSM}/{name}" in paths:
            raise ValueError(
                f"A modality is called {name!r}, as are results of the name {key!r} in obsm. Choose another key_added."
            )


def _check_other_results(mdata: MuData, key: str, paths: Collection[str]) -> None:
    for other in mdata.uns:
        # Paths of tables are within the entry of their own name, so those of two names cannot meet.
        shared = {path for path in set(paths) & set(noted_paths(mdata, other)) if not path.startswith(f"{UNS}/")}
        taken = sorted(shared) if other != key else []
        if taken:
            raise ValueError(
                f"{_place(taken[0])} holds results of the name {other!r}, which those of the name {key!r} would "
                "replace. Choose another key_added."
            )


def _with_copies(mdata: MuData, paths: Collection[str]) -> set[str]:
    """These paths, and those of what mudata copies of columns, which is removed with them."""
    columns = [path.removeprefix(f"{OBS}/") for path in paths if path.startswith(f"{OBS}/")]
    return {*paths, *(f"{OBS}/{name}" for name in copied_columns(mdata, columns))}


def _place(path: str) -> str:
    """A path as Python reads it, such as ``mdata['rna'].layers['counts']``."""
    *modality, part, name = path.split("/", 2 if path.count("/") > 1 and not path.startswith(f"{OBS}/") else 1)
    owner = f"mdata[{modality[0]!r}]" if modality else "mdata"
    return f"{owner}.{part}[{name!r}]"
