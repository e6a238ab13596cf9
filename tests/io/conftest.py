import anndata as ad
import mudata
import numpy as np
import pytest

from scmoe.io._quiet import quiet_mudata


@pytest.fixture
def mdata() -> mudata.MuData:
    with quiet_mudata():
        return mudata.MuData({m: ad.AnnData(np.ones((3, 2), np.float32)) for m in ("rna", "adt")})
