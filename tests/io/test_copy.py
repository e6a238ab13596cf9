"""A copy of a MuData has the same tables: mudata 0.4.1 guesses the types of columns anew."""

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest

from scmoe.io._mapped import copy_of
from scmoe.io._quiet import quiet_mudata

COLUMNS = {
    "whole decimals": [1.0, 2.0, 3.0],
    "decimals with a gap": [1.0, np.nan, 2.0],
    "text": pd.Series(["a", "b", "c"]).to_numpy(),
    "text with a gap": np.array(["a", None, "c"], dtype=object),
    "mask with a gap": pd.array([True, None, False], dtype="boolean"),
    "integers": np.array([1, 2, 3], dtype="int8"),
    "categories": pd.Categorical(["b", None, "b"], ["a", "b"]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_types_of_columns_stay(name: str) -> None:
    cells = ["x", "y", "z"]
    adata = ad.AnnData(np.ones((3, 2), np.float32), obs=pd.DataFrame(index=cells), var=pd.DataFrame(index=["g", "h"]))
    table = pd.DataFrame({"column": COLUMNS[name]}, index=cells)
    with quiet_mudata():
        mdata = mudata.MuData({"rna": adata})
        mdata.obs = table.copy()
        copy = copy_of(mdata)
    pd.testing.assert_frame_equal(copy.obs, table)
    copy.obs["column"] = 0
    pd.testing.assert_frame_equal(mdata.obs, table)
