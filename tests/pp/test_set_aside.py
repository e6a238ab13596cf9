"""What is no biology of the cell: known by names and values."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scmoe.pp._set_aside import choose_set_aside, exclude_each_other, find_set_aside

HASHTAGS = ["Hashtag1", "anti-human_Hashtag_2", "HTO_A", "HTO-1", "HTO10", "CMO301", "SampleTag01_hs", "LMO_3"]
ISOTYPES = ["Mouse-IgG1", "IgG2a_control_TotalSeqB", "Rat-IgG2b", "isotype_ctrl", "Isotype_MOPC.21", "IgG1", "IgG2b"]
PROTEINS = [
    "CD3",
    "CD45RA",
    "HLA-DR",
    "IgD",
    "IgM",
    "IgG-Fc",
    "Ig-light-chain-k",
    "mouse-human-CD44",
    "TIGIT_TotalSeqB",
]


def modality(names: list[str], x: np.ndarray | None = None) -> ad.AnnData:
    x = np.random.default_rng(0).poisson(5, (100, len(names))).astype(float) if x is None else x
    return ad.AnnData(x, var=pd.DataFrame(index=names))


def test_names_of_vendors_are_known_and_proteins_are_not_taken_for_them() -> None:
    adata = modality(HASHTAGS + ISOTYPES + PROTEINS)
    expected = dict.fromkeys(HASHTAGS, "hashtag") | dict.fromkeys(ISOTYPES, "isotype control")
    assert find_set_aside(adata, "protein", adata.X) == expected


def test_controls_and_spike_ins_among_genes() -> None:
    names = ["CD3E", "ERCC-00002", "ERCC1", "NegControlProbe_00042", "BLANK_0001", "NegPrb3", "Blank-12", "HASH1"]
    adata = modality(names)
    found = find_set_aside(adata, "rna", adata.X)
    assert sorted(found) == ["BLANK_0001", "Blank-12", "ERCC-00002", "NegControlProbe_00042", "NegPrb3"]
    assert found["ERCC-00002"] == "spike-in"


def tags(n_tags: int = 4, ambient: float = 2.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.poisson(ambient, (400, n_tags)).astype(float)
    x[np.arange(400), rng.integers(0, n_tags, 400)] += rng.poisson(200, 400)
    return x


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix])
def test_vague_names_need_values_that_exclude_each_other(convert) -> None:
    rng = np.random.default_rng(1)
    proteins = rng.poisson(20, (400, 3)).astype(float)
    names = ["CD3", "CD4", "CD8", "sample A", "sample B", "sample C", "sample D"]
    adata = modality(names, convert(np.hstack([proteins, tags()])))
    assert sorted(find_set_aside(adata, "protein", adata.X)) == names[3:]
    alike = modality(names, convert(np.hstack([proteins, rng.poisson(20, (400, 4))])))
    assert find_set_aside(alike, "protein", alike.X) == {}


def test_a_tag_that_no_cell_has_first_is_none() -> None:
    x = tags()
    assert exclude_each_other(x, np.arange(4))
    x[:, 3] = 0
    assert not exclude_each_other(x, np.arange(4))


def test_feature_types_and_the_column_of_isotypes() -> None:
    adata = modality(["CD3", "x1", "g1", "weird"])
    adata.var["feature_types"] = ["Antibody Capture", "Multiplexing Capture", "CRISPR Guide Capture", "Custom"]
    assert find_set_aside(adata, "protein", adata.X) == {"x1": "tag", "g1": "guide", "weird": "custom"}
    adata.var = pd.DataFrame({"isotype_control": [False, True, False, False]}, index=adata.var_names)
    assert find_set_aside(adata, "protein", adata.X) == {"x1": "isotype control"}


def test_the_user_decides() -> None:
    adata = modality(["CD3", "Hashtag1"])
    assert choose_set_aside("adt", adata, "protein", adata.X, "never") == {}
    assert choose_set_aside("adt", adata, "protein", adata.X, {"adt": ["CD3"]}) == {"CD3": "named by set_aside"}
    assert choose_set_aside("adt", adata, "protein", adata.X, {"rna": []}) == {"Hashtag1": "hashtag"}
    with pytest.raises(KeyError, match="feature 'CD4' of 'adt', which it does not have"):
        choose_set_aside("adt", adata, "protein", adata.X, {"adt": ["CD4"]})
