#!/usr/bin/env bash
# mudata 0.3.10 writes the `.raw` of a modality to a zarr store and does not read it back; the same data come back whole from .h5mu.
# Guess before: both formats are read by the same code. They are not: the reader of zarr builds each AnnData part by part.
set -euo pipefail
source "$(dirname "$0")/environment.bash"
environment 3.11 mudata==0.3.10 anndata==0.12.19 "zarr<3.2" "pandas<3"
"$python" -W ignore - <<'PY'
from pathlib import Path

import anndata, mudata, numpy as np

print("anndata", anndata.__version__, "mudata", mudata.__version__)
rna = anndata.AnnData(np.eye(4, 3, dtype="float32"))
rna.raw = rna.copy()
mdata = mudata.MuData({"rna": rna})
mdata.write_zarr("a.zarr")
mdata.write_h5mu("a.h5mu")
stored = Path("a.zarr/mod/rna/raw").is_dir()
from_zarr = mudata.read_zarr("a.zarr")["rna"].raw is not None
from_h5mu = mudata.read_h5mu("a.h5mu")["rna"].raw is not None
print(f"raw in the store: {stored}; read from zarr: {from_zarr}; read from h5mu: {from_h5mu}")
assert (stored, from_zarr, from_h5mu) == (True, False, True)
PY
