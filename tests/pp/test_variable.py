"""The choice of variable features is scanpy's, made in blocks."""

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData
from scipy import sparse

from scmoe import _matrix
from scmoe.pp._normalize import log_normalize
from scmoe.pp._variable import choose_variable


@pytest.mark.parametrize("convert", [sparse.csr_matrix, np.asarray])
@pytest.mark.parametrize("n_batches", [0, 1, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_choice_is_that_of_scanpy(convert, n_batches: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_matrix, "BLOCK", 500)
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.gamma(0.3, 3, 300) * rng.gamma(2, 1, (90, 300)))
    counts[:30, :40] = 0  # not expressed in a batch
    counts[:, 40] = 0
    obs = pd.DataFrame({"batch": np.arange(90) // 30 % max(n_batches, 1)}, index=[f"c{i}" for i in range(90)])
    obs["batch"] = obs["batch"].map("b{}".format)
    adata = AnnData(log_normalize(convert(counts.astype(np.float32))), obs=obs)
    batch_key = "batch" if n_batches else None
    is_used = rng.random(300) < 0.9
    chosen = choose_variable("rna", adata, "rna", adata.X, obs, n_top_features=50, batch_key=batch_key, is_used=is_used)
    reference = adata[:, is_used].copy()
    sc.pp.highly_variable_genes(reference, n_top_genes=50, batch_key=batch_key)
    assert chosen is not None
    np.testing.assert_array_equal(chosen[is_used], reference.var["highly_variable"])
    assert not chosen[~is_used].any()
