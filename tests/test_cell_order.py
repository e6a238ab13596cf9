"""Cells of a modality may stand in another order than in the whole: what verbs write about a cell stays the same."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import sparse

import scmoe
from scmoe.io._quiet import quiet_mudata


def reordered(mdata: MuData) -> MuData:
    """The same cells in the same order of the whole, and another one in each modality."""
    rng = np.random.default_rng(0)
    parts = {name: adata[rng.permutation(adata.n_obs)].copy() for name, adata in mdata.mod.items()}
    with quiet_mudata():
        out = MuData(parts, obs=mdata.obs.copy(), uns=dict(mdata.uns))
    for key, value in mdata.obsm.items():
        if key not in mdata.mod:
            out.obsm[key] = value
    assert out.obs_names.equals(mdata.obs_names)
    assert not any(out[name].obs_names.equals(mdata[name].obs_names) for name in mdata.mod)
    return out


def frames(data: Any) -> dict[str, pd.DataFrame]:
    """What is known of cells as tables, by name in every modality."""
    found = {"obs": data.obs, **tables(data.uns)}
    found |= {f"obsm {key}": pd.DataFrame(value) for key, value in data.obsm.items() if key not in data.mod}
    for name, adata in data.mod.items():
        arrays = {"X": adata.X, **dict(adata.obsm), **{key: x for key, x in adata.layers.items() if key is not None}}
        arrays = {key: x.toarray() if sparse.issparse(x) else x for key, x in arrays.items()}
        of_cells = {key: pd.DataFrame(np.asarray(x), adata.obs_names) for key, x in arrays.items()} | {"obs": adata.obs}
        cells = data.obs_names[data.obs_names.isin(adata.obs_names)]
        found |= {f"{name} {key}": table.loc[cells] for key, table in of_cells.items()}
    return found


def tables(value: Any, path: str = "uns") -> dict[str, pd.DataFrame]:
    if isinstance(value, pd.DataFrame):
        return {path: value}
    entries = value.items() if hasattr(value, "items") else ()
    return {name: table for key, each in entries for name, table in tables(each, f"{path} {key}").items()}


def check(first: MuData, second: MuData) -> None:
    one, other = frames(first), frames(second)
    assert one.keys() == other.keys()
    for name, table in one.items():
        pd.testing.assert_frame_equal(other[name], table, rtol=1e-3, atol=1e-4, check_like=True, obj=name)


def niche(mdata: MuData) -> None:
    mdata.obsm["spatial"] = np.random.default_rng(1).random((mdata.n_obs, 2))
    scmoe.pp.niche(mdata, n_neighbors=5)


RAW: dict[str, Callable[[MuData], MuData | None]] = {
    "prepare": scmoe.pp.prepare,
    "split": lambda mdata: scmoe.pp.split(mdata, labels_key="cell_type"),
    "oversample": lambda mdata: scmoe.pp.oversample(mdata, "cell_type"),
    "undersample": lambda mdata: scmoe.pp.undersample(mdata, "cell_type", threshold=20),
    "thin": lambda mdata: scmoe.pp.augment(mdata, "cell_type"),
    "mix": lambda mdata: scmoe.pp.augment(mdata, "cell_type", method="mix"),
    "imbalance": lambda mdata: scmoe.datasets.imbalance(mdata, "cell_type", 3, n_total=60),
}
MODELED: dict[str, Callable[[MuData, Any], None]] = {
    "niche": lambda mdata, _: niche(mdata),
    "embed": scmoe.tl.embed,
    "annotate": scmoe.tl.annotate,
    "impute": lambda mdata, model: scmoe.tl.impute(mdata, model, source="rna", target="adt"),
    "denoise": lambda mdata, model: scmoe.tl.denoise(mdata, model, modality="rna"),
    "map_query": scmoe.tl.map_query,
    "attention": lambda mdata, model: scmoe.tl.attention(mdata, model, groupby="batch"),
    "ablation": lambda mdata, model: scmoe.tl.ablation(mdata, model, groupby="batch"),
    "attribute": lambda mdata, model: scmoe.tl.attribute(mdata, model, n_steps=2),
    "features": lambda mdata, model: scmoe.tl.attribute(
        mdata, model, modality="adt", targets=["protein1"], n_steps=2, n_cells=40
    ),
    "deletion": lambda mdata, model: scmoe.tl.deletion(mdata, model, "B", n_steps=2, n_cells=20),
    "expert_usage": lambda mdata, model: scmoe.tl.expert_usage(mdata, model, groupby="batch"),
    "expert_cards": lambda mdata, model: scmoe.tl.expert_cards(mdata, model, groupby="batch", n_permutations=9),
    "tcav": lambda mdata, model: scmoe.tl.tcav(
        mdata,
        model,
        targets="B",
        modalities=False,
        markers={"m": ["gene0", "gene3"]},
        cells={"c": mdata.obs["batch"].eq("donor1").sample(frac=1, random_state=0)},
        n_random=2,
    ),
}


@pytest.mark.parametrize("verb", RAW)
def test_before_a_model(raw, verb):
    other = reordered(raw)
    first, second = RAW[verb](raw), RAW[verb](other)
    check(first or raw, second or other)


@pytest.mark.parametrize("verb", MODELED)
def test_with_a_model(paired, trained, verb):
    other = reordered(paired)
    MODELED[verb](paired, trained)
    MODELED[verb](other, trained)
    check(paired, other)
