#!/usr/bin/env bash
# snapatac2 2.10.0: if subset() is the first call after read(), it stops half-way and leaves the file unreadable: matrix and names are of the chosen cells,
# the columns of obs of all. If obs was looked at before, the same call is right.
# Guess before: subset gives the chosen cells in either case.
set -euo pipefail
source "$(dirname "$0")/environment.bash"
environment 3.12 snapatac2==2.10.0 anndata==0.13.4 "zarr>=3,<4"
"$python" -W ignore - 2> errors <<'PY' || { cat errors; exit 1; }
import anndata, numpy as np, pandas as pd, snapatac2
from scipy.sparse import csr_matrix

names = [f"cell{i}" for i in range(6)]


def subset(path: str, look: bool) -> str:
    obs = pd.DataFrame({"depth": np.arange(6)}, index=names)
    anndata.AnnData(csr_matrix(np.eye(6)), obs=obs, var=pd.DataFrame(index=list("abcdef"))).write_h5ad(path)
    cells = snapatac2.read(path, backed="r+")
    if look:
        cells.obs[:]
    try:
        cells.subset(obs_indices=[1, 3])
        error = ""
    except RuntimeError as raised:
        error = str(raised).splitlines()[0]
    cells.close()
    try:
        depth = anndata.read_h5ad(path).obs["depth"].tolist()
    except ValueError as raised:
        depth = str(raised)
    return error, depth


first, looked = subset("first.h5ad", look=False), subset("looked.h5ad", look=True)
print("snapatac2", snapatac2.__version__, "subset first:", first, "after a look at obs:", looked)
assert looked == ("", [1, 3])
assert "lengths don't match" in first[0] and "Length of values (6) does not match length of index (2)" in first[1]
PY
