#!/usr/bin/env bash
# annbatch 0.3.1: of a dense zarr array whose shards (or chunks, without shards) do not hold all columns, as anndata writes 100,000 cells x 140
# proteins, single rows come with the values of other rows or none, without an error. A run of rows ends in an error of NumPy.
set -euo pipefail
source "$(dirname "$0")/environment.bash"
environment 3.13 annbatch==0.3.1 anndata==0.13.4 zarr==3.4.2 "pandas<4"
"$python" -W ignore - <<'PY'
import anndata, annbatch, numpy as np, zarr
from annbatch.abc import Sampler

values = np.arange(1, 100_000 * 140 + 1, dtype="float32").reshape(100_000, 140)
anndata.AnnData(values).write_zarr("a.zarr")
array = zarr.open_group("a.zarr", mode="r")["X"]


class Rows(Sampler):
    batch_size, shuffle = None, False

    def __init__(self, rows):
        self.rows = rows

    def validate(self, n_obs):
        pass

    def n_batches(self, n_obs):
        return 1

    def _sample(self, n_obs):
        yield {"requests": self.rows, "splits": [np.arange(len(self.rows))]}


def read(rows):
    (batch,) = annbatch.Loader(batch_sampler=Rows(rows), preload_to_gpu=False).add_dataset(array)
    return batch["X"]


single = np.arange(0, 90_000, 100)
share = float(np.mean(read(single) == values[single]))
try:
    seen = f"equal: {np.array_equal(read(np.arange(9000)), values[:9000])}"
except ValueError as error:
    seen = f"ValueError: {error}"
print("annbatch", annbatch.__version__, "shards", array.shards, "right values of single rows:", round(share, 2), "| a run of 9000 rows:", seen)
assert array.shards[1] < 140 and share < 0.9 and "broadcast" in seen
PY
