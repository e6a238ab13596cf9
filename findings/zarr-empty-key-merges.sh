#!/usr/bin/env bash
# anndata 0.12.19 and 0.13.4: in .zarr, the entries below an empty key of uns ({"": {"k": 1}, "z": 2}) come back among those of its parent, without a word; one of the same name there would be replaced. Written to .h5ad the same entry raises an error.
set -euo pipefail
source "$(dirname "$0")/environment.bash"
environment 3.11 anndata==0.12.19 "pandas<3"
"$python" -W ignore - <<'PY'
import anndata, numpy as np

adata = anndata.AnnData(np.ones((2, 2), "f4"))
adata.uns["settings"] = {"": {"k": 1}, "z": 2}
adata.write_zarr("a.zarr")
back = anndata.read_zarr("a.zarr").uns["settings"]
try:
    adata.write_h5ad("a.h5ad")
    written = "written"
except Exception as error:
    written = type(error).__name__
print("anndata", anndata.__version__, "zarr:", back, "| h5ad:", written)
assert {key: int(value) for key, value in back.items()} == {"k": 1, "z": 2}
assert written != "written"
PY
