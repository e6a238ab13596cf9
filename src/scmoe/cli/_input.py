"""From a file to prepared data."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from scmoe.arguments._options import pairs
from scmoe.cli._options import Search

if TYPE_CHECKING:
    from mudata import MuData

    from scmoe.model._scmoe import SCMOE


class Input(NamedTuple):
    """What the user says about a file."""

    file: Path
    kinds: list[str] | None
    layers: list[str] | None
    genome: str | None
    missing: Search
    set_aside: Search
    on_disk: bool
    cache_dir: Path | None
    is_atlas: bool = False


def read_prepared(
    source: Input,
    modality: list[str] | None = None,
    *,
    suffix: str,
    batch_key: str | None = None,
    n_top_features: int | None = None,
    kinds: Mapping[str, str] | None = None,
) -> "MuData":
    """The data of a file as the model wants it, if they can be written to a file that ends in `suffix`.

    An .h5ad takes the name of its modality from the option. `kinds` are those of a model; the user's go before.
    """
    from scmoe.io._storable import refuse_unstorable
    from scmoe.pp._prepare import prepare

    name = modality[0] if modality and len(modality) == 1 else "rna"
    mdata = _sample(source, name) if source.is_atlas else _read(source, name)
    if suffix == ".h5ad" and len(mdata.mod) > 1:
        raise ValueError(
            f"An .h5ad holds one modality, and {source.file} has {', '.join(mdata.mod)}. Write .h5mu or .zarr."
        )
    refuse_unstorable(mdata, ".h5mu" if suffix == ".h5ad" else suffix)
    use_layers(mdata, pairs(source.layers, "--layer", "rna=raw_counts"))
    known = {name: kind for name, kind in (kinds or {}).items() if name in mdata.mod}
    prepare(
        mdata,
        kinds={**known, **pairs(source.kinds, "--kind", "rna=ambient")},
        batch_key=batch_key,
        missing=source.missing.value,
        set_aside=source.set_aside.value,
        n_top_features="auto" if n_top_features is None else n_top_features,
    )
    return mdata


def _read(source: Input, modality: str) -> "MuData":
    from scmoe.datasets._read import read

    return read(
        source.file, modality=modality, genome=source.genome, on_disk=source.on_disk, cache_dir=source.cache_dir
    )


def _sample(source: Input, modality: str) -> "MuData":
    from scmoe.datasets.atlas._sample import sample_atlas

    if source.on_disk or source.cache_dir or source.genome or source.layers:
        raise ValueError("--atlas reads stores as they are: leave --on-disk, --cache-dir, --genome and --layer out.")
    return sample_atlas(source.file, modality=modality)


def read_prepared_for(model: "SCMOE", source: Input, output: Path) -> "MuData":
    """The data of a file, prepared as the model's were."""
    only = list(model.modalities) if len(model.modalities) == 1 else None
    return read_prepared(source, only, suffix=output.suffix, kinds=model.setup.kinds)


def use_layers(mdata: "MuData", layers: Mapping[str, str]) -> None:
    """Make the layers that the user names what the modalities are prepared from."""
    from scmoe._check import layer_names
    from scmoe._keys import COUNTS_LAYER, ORIGINAL_LAYER
    from scmoe._matrix import looks_like_counts

    for name, layer in layers.items():
        if name not in mdata.mod:
            raise ValueError(f"--layer names the modality {name!r}; the file has {', '.join(mdata.mod)}.")
        adata = mdata.mod[name]
        if layer not in adata.layers:
            found = ", ".join(map(str, layer_names(adata))) or "none"
            raise ValueError(f"--layer names the layer {layer!r} of {name}, which has {found}.")
        if layer == COUNTS_LAYER:
            continue  # where counts are looked for first
        if COUNTS_LAYER in adata.layers:
            raise ValueError(
                f"--layer {name}={layer}: {name} also has a layer {COUNTS_LAYER!r}, which counts are read from. Remove "
                "or rename one of them."
            )
        if looks_like_counts(adata.layers[layer]):
            adata.layers[COUNTS_LAYER] = adata.layers[layer]
        else:
            adata.layers[ORIGINAL_LAYER], adata.X = adata.X, adata.layers[layer]
