"""What a modality is taken for, and the reason given."""

import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scmoe.pp._kind import decide_kind
from scmoe.pp._normalize import clr


def counts(n_features: int = 4, mean: float = 3.0) -> np.ndarray:
    values = np.random.default_rng(0).poisson(mean, (6, n_features))
    values[0, 0] = 2
    return values


def modality(values: np.ndarray) -> ad.AnnData:
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(values.shape[0])])
    return ad.AnnData(values, obs=obs, var=pd.DataFrame(index=[f"f{i}" for i in range(values.shape[1])]))


def one_wrong(value: float) -> np.ndarray:
    values = counts(10).astype(float)
    values[3, 2] = value
    return values


def divided(share: float) -> np.ndarray:
    """Counts of 200 genes, a share of which has got a part of a read that fits two genes."""
    rng = np.random.default_rng(0)
    values = rng.poisson(2.0, (20, 200)).astype(float)
    return values + np.where(rng.random(values.shape) < share, rng.random(values.shape), 0)


def intervals() -> ad.AnnData:
    adata = modality(counts(30, mean=0.4))
    adata.var_names = [f"chr{i}:100-200" if i % 2 else f"chrX-{i}-900" for i in range(30)]
    return adata


def typed(kind: str) -> ad.AnnData:
    adata = modality(counts())
    adata.var["feature_types"] = kind
    return adata


@pytest.mark.parametrize(
    ("name", "values", "kind", "reason"),
    [
        ("rna", counts(), "rna", "name says so"),
        ("GEX", counts(), "rna", "name says so"),
        ("gene_expression", counts(), "rna", "name says so"),
        ("adt", counts(), "protein", "name says so"),
        ("surface protein", counts(), "protein", "name says so"),
        ("atac", counts(), "peaks", "name says so"),
        ("atac", (counts() > 2).astype(np.int8), "peaks", "0 or 1"),
        ("x", intervals(), "peaks", "named like 'chrX-0-900'"),
        ("x", typed("Antibody Capture"), "protein", "feature_types"),
        ("adt", typed("Gene Expression"), "rna", "feature_types"),
        ("x", counts(10), "protein", "raw counts, 10 features, .*% of the values above zero"),
        ("x", counts(10, mean=0.3), "rna", "raw counts, 10 features"),
        ("x", counts(600), "rna", "raw counts, 600 features"),
        ("rna", np.log1p(counts()), "lognormalized", "fractional values from 0 to"),
        ("adt", np.log1p(counts()), "lognormalized", "name says so"),
        ("adt", clr(counts()), "continuous", "some values are negative"),
        ("rna", counts() * 1000.5, "ambient", "neither are whole nor share a total"),
        ("rna", counts() * 0, "continuous", "all values are zero"),
        ("rna", counts() > 2, "continuous", "none above 1"),
        ("x", counts() * 0.5, "continuous", "no name says"),
        ("rna", one_wrong(0.5), "rna", "name says so"),
        ("rna", divided(0.05), "ambient", "reads that fit several genes"),
        ("rna", divided(0.3), "ambient", "reads that fit several genes"),
        ("rna", np.log2(1 + divided(0.0)), "lognormalized", "logarithms to base 2 of counts"),
        ("x", typed("Antigen Capture"), "custom", "feature_types"),
        ("rna", one_wrong(-1), "rna", "name says so"),
        ("morph", counts(), "continuous", "name says so"),
        ("x", np.where(np.eye(6, 4), np.nan, counts()), "continuous", "missing"),
        ("adt", np.where(np.eye(6, 4), np.nan, counts()), "protein", "whole numbers"),
        ("adt", np.expm1(np.log1p(counts().astype(np.float32))), "protein", "whole numbers"),
        ("spatial", counts(60, mean=1.5), "rna", "whole numbers of 60 features, .*% above zero"),
        ("spatial", counts(2), "continuous", "name says so"),
        ("atac", counts(19) * 20_000, "continuous", "hardly a zero"),
        ("atac topics", np.full((6, 19), 0.3) + counts(19) * 0.1, "continuous", "hardly a zero"),
        ("hto", counts(), "tags", "name says so"),
        ("x", typed("Multiplexing Capture"), "tags", "feature_types"),
        ("x", typed("CRISPR Guide Capture"), "guides", "feature_types"),
        ("x", typed("Custom"), "custom", "feature_types"),
        ("x", typed("Negative Control Probe"), "controls", "feature_types"),
    ],
)
@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix])
def test_kind_is_decided_and_explained(name: str, values, kind: str, reason: str, convert) -> None:
    adata = values if isinstance(values, ad.AnnData) else modality(values)
    decision = decide_kind(name, adata, convert(adata.X))
    assert decision.kind == kind
    assert re.search(reason, decision.reason)
