#!/usr/bin/env bash
# mudata 0.3.10 and 0.4.1: after mdata.obs = a table of the same cells in another order (sorted, say), mdata[cells] names these cells and holds the rows of
# others, also after update(). AnnData renames its rows in that case, so names and rows still agree; here they do not.
# Guess before: the table is aligned by name.
set -euo pipefail
source "$(dirname "$0")/environment.bash"
environment 3.12 mudata==0.4.1 anndata==0.13.4 "zarr>=3,<4"
newer=$python
"$python" -m venv older
older/bin/python -m pip install -q mudata==0.3.10 anndata==0.12.19 "zarr>=3,<3.2" "pandas<3"
for python in older/bin/python "$newer"; do
  "$python" -W ignore - <<'PY'
import anndata, mudata, numpy as np, pandas as pd

names = ["cell0", "cell1", "cell2", "cell3"]


def modality(feature: str) -> anndata.AnnData:
    return anndata.AnnData(np.arange(4.0)[:, None], obs=pd.DataFrame(index=names), var=pd.DataFrame(index=[feature]))


def subset(order: list[str], update: bool) -> tuple[list[str], list[str]]:
    mdata = mudata.MuData({"rna": modality("gene"), "adt": modality("protein")})
    mdata.obs = pd.DataFrame({"score": range(4)}, index=names).loc[order]
    if update:
        mdata.update()
    part = mdata[mdata.obs_names[:2]]
    return list(part.obs_names), list(part["rna"].obs_names)


seen = {(order == names, update): subset(order, update) for order in (names, names[::-1]) for update in (False, True)}
print("mudata", mudata.__version__, "cells asked for, cells of the modality:", seen)
assert seen[True, False] == seen[True, True] == (["cell0", "cell1"], ["cell0", "cell1"])
assert seen[False, False] == seen[False, True] == (["cell3", "cell2"], ["cell0", "cell1"])
PY
done
