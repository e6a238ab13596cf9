"""The data in the package."""

import warnings

from scmoe._matrix import looks_like_counts
from scmoe.datasets import bmmc_cite


def test_bundled_data_are_raw_counts_with_annotation() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="The .future.infer_string. option")  # in anndata 0.13
        mdata = bmmc_cite()
    assert {name: adata.shape for name, adata in mdata.mod.items()} == {"rna": (600, 1000), "adt": (600, 134)}
    assert all(looks_like_counts(adata.X) for adata in mdata.mod.values())
    assert (mdata.obs["cell_type"].nunique(), mdata.obs["batch"].nunique()) == (41, 2)
