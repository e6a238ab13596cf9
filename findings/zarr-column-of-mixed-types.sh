#!/usr/bin/env bash
# A column of obs with True, False and a gap (what a join of two tables gives), or with numbers and text: anndata refuses it in
# .h5ad, and writes it to zarr as text, without a word. True comes back as "True", the gap as "nan". Seen with 0.12.19 and 0.13.4.
# Guess before: the two formats refuse the same things, for they share their table of writers.
set -euo pipefail
source "$(dirname "$0")/environment.bash"
for pins in "3.11 anndata==0.12.19 pandas<3 zarr<3.2" "3.12 anndata==0.13.4"; do
  (
    read -r -a words <<< "$pins"
    environment "${words[@]}"
    "$python" -W ignore - <<'PY'
from importlib.metadata import version

import anndata, numpy as np, pandas as pd

print("anndata", version("anndata"))
for name, values in {"flags": [True, np.nan, False], "mixed": [1, "x", 2.5]}.items():
    adata = anndata.AnnData(np.eye(3, dtype="float32"))
    adata.obs[name] = pd.Series(values, dtype=object).to_numpy()
    try:
        adata.write_h5ad("a.h5ad")
        h5ad = "written"
    except TypeError:
        h5ad = "refused"
    adata.write_zarr("a.zarr")
    back = list(anndata.read_zarr("a.zarr").obs[name])
    print(f"{name}: h5ad {h5ad}; from zarr {back}")
    assert h5ad == "refused" and all(isinstance(value, str) for value in back)
PY
  )
done
