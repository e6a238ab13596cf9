#!/usr/bin/env bash
# annbatch 0.3.1: two loaders with the same seed, one a modality, give batches of the same cells only where both have all cells in one order. Where one
# modality lacks a cell, batches of equal length hold rows of different cells, without an error.
set -euo pipefail
source "$(dirname "$0")/environment.bash"
environment 3.13 annbatch==0.3.1 anndata==0.13.4 zarr==3.4.2 "pandas<4"
"$python" -W ignore - <<'PY'
import anndata, annbatch, numpy as np, pandas as pd, zarr

names = [f"cell{i}" for i in range(64)]


def store(path, cells):
    obs = pd.DataFrame({"cell": cells}, index=cells)
    anndata.AnnData(np.arange(len(cells), dtype="float32")[:, None], obs=obs).write_zarr(path)
    return zarr.open_group(path, mode="r")


def batches(group):
    loader = annbatch.Loader(shuffle=True, rng=np.random.default_rng(0), chunk_size=4, preload_nchunks=4, batch_size=8)
    loader.add_dataset(group["X"], obs=anndata.io.read_elem(group["obs"]))
    return [list(batch["obs"]["cell"]) for batch in loader]


def share_of_pairs(first, second):
    pairs = [(a, b) for x, y in zip(batches(first), batches(second)) for a, b in zip(x, y)]
    return np.mean([a == b for a, b in pairs])


rna = store("rna.zarr", names)
whole = share_of_pairs(rna, store("whole.zarr", names))
lacking = share_of_pairs(rna, store("lacking.zarr", names[1:]))
order = share_of_pairs(rna, store("order.zarr", names[::-1]))
print("annbatch", annbatch.__version__, "rows of the same cell: whole", whole, "without one cell", round(float(lacking), 2), "reversed", order)
assert whole == 1 and lacking < 0.2 and order < 0.2
PY
