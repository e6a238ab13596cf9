#!/usr/bin/env bash
# mudata 0.4.1: a MuData that was read from .h5mu cannot be written to zarr, while a new one with the same content can. The axis is
# read as NumPy's integer, which the JSON of zarr's attributes refuses; by then half of the store is written, and stays.
set -euo pipefail
source "$(dirname "$0")/environment.bash"
environment 3.12 mudata==0.4.1 anndata==0.13.4
"$python" -W ignore - <<'PY'
from importlib.metadata import version
from pathlib import Path

import anndata, mudata, numpy as np

print("anndata", version("anndata"), "mudata", version("mudata"))
mdata = mudata.MuData({"rna": anndata.AnnData(np.eye(4, 3, dtype="float32"))})
mdata.write_zarr("new.zarr")
mdata.write_h5mu("a.h5mu")
again = mudata.read_h5mu("a.h5mu")
try:
    again.write_zarr("again.zarr")
    seen = "written"
except TypeError as error:
    seen = str(error)
left = sorted(path.name for path in Path("again.zarr").iterdir())
print(f"axis: {type(again.axis).__name__}; write_zarr: {seen}; left behind: {left}")
assert "not JSON serializable" in seen and "obs" in left and "mod" not in left
PY
