#!/usr/bin/env bash
# mudata 0.3.10 with anndata 0.12.19: a MuData whose modalities share features (axis=1) comes back from .zarr as one whose modalities share cells: 5 x 2 becomes 5 x 4, without a word. From .h5mu it comes back as it was. mudata 0.4 writes the axis to both.
set -euo pipefail
source "$(dirname "$0")/environment.bash"
environment 3.11 mudata==0.3.10 anndata==0.12.19 "pandas<3"
"$python" -W ignore - <<'PY'
import anndata, mudata, numpy as np, pandas as pd

genes = pd.DataFrame(index=["g1", "g2"])
parts = {}
for name, n in (("one", 2), ("two", 3)):
    cells = pd.DataFrame(index=[f"{name}{i}" for i in range(n)])
    parts[name] = anndata.AnnData(np.ones((n, 2), "f4"), obs=cells, var=genes.copy())
mdata = mudata.MuData(parts, axis=1)
mdata.write_h5mu("a.h5mu")
mdata.write_zarr("a.zarr")
of_h5mu, of_zarr = mudata.read_h5mu("a.h5mu"), mudata.read_zarr("a.zarr")
print("mudata", mudata.__version__, "written", mdata.shape, mdata.axis, "| h5mu", of_h5mu.shape, of_h5mu.axis, "| zarr", of_zarr.shape, of_zarr.axis)
assert (of_h5mu.shape, of_h5mu.axis) == (mdata.shape, mdata.axis) == ((5, 2), 1)
assert (of_zarr.shape, of_zarr.axis) == ((5, 4), 0)
PY
