"""Results to export: names with commas, quotes, line breaks, markup and formulas, gaps, cells without a modality."""

import numpy as np
import pandas as pd
import pytest

import scmoe

STRANGE = ("=2+3", 'a,"b"', "<b>&</b>\nx")


@pytest.fixture(scope="session")
def result(fresh, tl_train):
    mdata = fresh("mosaic")
    mdata.obs["strange"] = pd.Categorical([STRANGE[i % 3] for i in range(mdata.n_obs)])
    mdata.obs["gap"] = pd.Categorical(["x", None] * (mdata.n_obs // 2), categories=["unused", "x"])
    mdata.obs["whole"] = pd.array([1, None] * (mdata.n_obs // 2), dtype="Int64")
    mdata.obs["large"] = np.arange(mdata.n_obs) + 2**40
    mdata.obs["flag"] = pd.array([True, False] * (mdata.n_obs // 2), dtype="boolean")
    tl_train(mdata, labels_key="cell_type", umap=True, predict=True)
    scmoe.tl.markers(mdata, groupby="cell_type", modality="rna")
    return mdata
