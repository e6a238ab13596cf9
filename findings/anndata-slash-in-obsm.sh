#!/usr/bin/env bash
# anndata 0.12.19: an obsm key with a slash (as in "X_pca/harmony") is written to .h5ad with a warning at most, and the file cannot be read any more.
set -euo pipefail
source "$(dirname "$0")/environment.bash"
environment 3.11 anndata==0.12.19 "pandas<3"
"$python" -W ignore - <<'PY'
import anndata, numpy as np

adata = anndata.AnnData(np.ones((4, 2)))
adata.obsm["X_pca/harmony"] = np.zeros((4, 2))
adata.write_h5ad("a.h5ad")
try:
    seen = f"read: {list(anndata.read_h5ad('a.h5ad').obsm)}"
except Exception as error:
    seen = f"{type(error).__name__}: {str(error).splitlines()[0]}"
print("anndata", anndata.__version__, seen)
assert not seen.startswith("read")
PY
