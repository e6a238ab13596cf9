"""Tags and guides as columns of obs."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData

from scmoe.io._quiet import quiet_mudata
from scmoe.pp import assign_tags, prepare


def data(name: str, x: np.ndarray, names: list[str]) -> MuData:
    cells = pd.DataFrame(index=[f"cell{i}" for i in range(len(x))])
    with quiet_mudata():
        return MuData({name: ad.AnnData(x.astype(float), obs=cells, var=pd.DataFrame(index=names))})


def tagged(n_tags: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts of tags, and the tag of each cell; 10 cells have none, and 20 have two."""
    rng = np.random.default_rng(0)
    tag = rng.integers(0, n_tags, 300)
    x = rng.poisson(5, (300, n_tags))
    x[np.arange(300), tag] += rng.poisson(200, 300)
    x[:10] = rng.poisson(5, (10, n_tags))
    x[10:30, :2] = rng.poisson(200, (20, 2))
    return x, tag


@pytest.mark.parametrize("n_tags", [2, 3, 6])
def test_hashtags(n_tags: int) -> None:
    x, tag = tagged(n_tags)
    mdata = data("hto", x, [f"HTO{i}" for i in range(n_tags)])
    assign_tags(mdata, key_added="sample")
    column = mdata.obs["sample"].astype(str).to_numpy()
    assert set(column[:10]) == {"Negative"}
    assert set(column[10:30]) == {"Doublet"}
    assert (column[30:] == [f"HTO{i}" for i in tag[30:]]).mean() > 0.99


def test_hashtags_among_proteins_after_prepare() -> None:
    x, tag = tagged(3)
    proteins = np.random.default_rng(1).poisson(20, (300, 4))
    mdata = data("adt", np.hstack([proteins, x]), ["CD3", "CD4", "CD8", "CD19", "Hashtag1", "Hashtag2", "Hashtag3"])
    prepare(mdata)
    assign_tags(mdata, "adt", key_added="tag")
    assert (mdata.obs["tag"].astype(str)[30:] == [f"Hashtag{i + 1}" for i in tag[30:]]).mean() > 0.99


def test_guides() -> None:
    x = np.array([[9, 0, 1], [1, 1, 0], [5, 6, 0], [0, 0, 3], [0, 0, 0]])
    mdata = data("guides", x, ["g0", "g1", "g2"])
    assign_tags(mdata)
    assert mdata.obs["guides"].tolist() == ["g0", "Negative", "Several", "g2", "Negative"]


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"modality": "x"}, KeyError, "no modality 'x'; it has hto"),
        ({"features": ["HTO9"]}, KeyError, "no feature 'HTO9'"),
        ({"features": ["HTO0"]}, ValueError, "At least two tags"),
        ({"key_added": "there"}, ValueError, "column 'there' already"),
        ({"key_added": "a/b"}, ValueError, "key_added must be a name without '/'"),
    ],
)
def test_bad_arguments(arguments, error, match: str) -> None:
    mdata = data("hto", tagged(3)[0], ["HTO0", "HTO1", "HTO2"])
    mdata.obs["there"] = "mine"
    with pytest.raises(error, match=match):
        assign_tags(mdata, **arguments)
    assert list(mdata.obs) == ["there"]


def test_a_tag_that_is_named_twice_counts_once() -> None:
    x, _ = tagged(3)
    names = ["HTO0", "HTO1", "HTO2"]
    once, twice = (data("hto", x, names) for _ in range(2))
    assign_tags(once, features=names)
    assign_tags(twice, features=pd.Series([*names, "HTO0"]))
    assert once.obs["hto"].tolist() == twice.obs["hto"].tolist()
