#!/usr/bin/env bash
# scanpy 1.11.5 and 1.12.4: regress_out of a category that 5 % of the cells lack leaves nearly half of the effect between the cells that have it, without a
# word: the cells without stand in the regression with the value 0. Without these cells nothing of the effect is left.
# Guess before: cells without a category stay as they are, and the others are corrected.
set -euo pipefail
source "$(dirname "$0")/environment.bash"
environment 3.12 scanpy==1.12.4 anndata==0.13.4 "zarr>=3,<4"
newer=$python
"$python" -m venv older
older/bin/python -m pip install -q scanpy==1.11.5 anndata==0.12.19 "zarr>=3,<3.2" "pandas<3"
for python in older/bin/python "$newer"; do
  "$python" -W ignore - <<'PY'
import anndata, numpy as np, pandas as pd, scanpy

n, effect = 300, 3.0
batch = np.array(["x", "y"])[np.arange(n) % 2]
values = np.random.default_rng(0).normal(5, 1, (n, 6)) + effect * (batch == "y")[:, None]


def left(n_lacking: int, drop: bool) -> float:
    """Mean difference between the batches of the cells that have one, after the correction."""
    has = np.arange(n) >= n_lacking
    obs = pd.DataFrame({"batch": pd.Categorical(np.where(has, batch, None))}, index=[f"cell{i}" for i in range(n)])
    cells = anndata.AnnData(values.copy(), obs=obs)
    cells = cells[has].copy() if drop else cells
    scanpy.pp.regress_out(cells, "batch")
    means = [np.asarray(cells.X)[(cells.obs["batch"] == name).to_numpy()].mean() for name in "xy"]
    return round(float(abs(means[1] - means[0])), 2)


seen = {n_lacking: (left(n_lacking, drop=False), left(n_lacking, drop=True)) for n_lacking in (0, 3, 15, 90)}
print("scanpy", scanpy.__version__, f"of a difference of {effect} is left, with and without the cells that lack a batch:", seen)
assert seen[0] == (0.0, 0.0)
assert all(with_them > 0.1 and without == 0 for with_them, without in (seen[3], seen[15], seen[90]))
assert seen[15][0] > effect / 3 and seen[90][0] > effect / 2
PY
done
