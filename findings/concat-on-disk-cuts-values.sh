#!/usr/bin/env bash
# anndata 0.12.19 and 0.13.4: concat_on_disk gives the joined sparse matrix the type of the first file and forces the others into it, without a word:
# counts beyond 255 stop at 255 in .h5ad and wrap around in .zarr, corrected counts lose their fractions. anndata.concat of the same files is right.
# Guess before: fractions are cut. That the two formats give different wrong values was not guessed.
set -euo pipefail
source "$(dirname "$0")/environment.bash"
environment 3.12 anndata==0.13.4 "zarr>=3,<4"
newer=$python
"$python" -m venv older
older/bin/python -m pip install -q anndata==0.12.19 "zarr>=3,<3.2" "pandas<3"
for python in older/bin/python "$newer"; do
  "$python" -W ignore - <<'PY'
from tempfile import mkdtemp

import anndata, numpy as np, pandas as pd
from anndata.experimental import concat_on_disk
from scipy.sparse import csr_matrix

read = {"h5ad": anndata.read_h5ad, "zarr": anndata.read_zarr}


def joined(format: str, *parts: np.ndarray) -> tuple[list, list]:
    folder = mkdtemp()
    paths = [f"{folder}/{i}.{format}" for i in range(len(parts))]
    for i, (path, values) in enumerate(zip(paths, parts)):
        cells = anndata.AnnData(csr_matrix(values), obs=pd.DataFrame(index=[f"cell{i}"]), var=pd.DataFrame(index=["a", "b"]))
        getattr(cells, f"write_{format}")(path)
    concat_on_disk(paths, f"{folder}/all.{format}")
    on_disk = read[format](f"{folder}/all.{format}").X.toarray()
    in_memory = anndata.concat([read[format](path) for path in paths]).X.toarray()
    return on_disk[1].tolist(), in_memory[1].tolist()


small, large = np.array([[1, 3]], "uint8"), np.array([[300, 70_000]], "int32")
whole, corrected = np.array([[1, 3]], "int32"), np.array([[0.5, 2.75]], "float32")
seen = {(format, kind): joined(format, *parts) for format in read for kind, parts in {"large": (small, large), "corrected": (whole, corrected)}.items()}
print("anndata", anndata.__version__, "second file on disk, in memory:", seen)
assert seen["h5ad", "large"] == ([255, 255], [300, 70_000])
assert seen["zarr", "large"] == ([44, 112], [300, 70_000])
assert seen["h5ad", "corrected"] == seen["zarr", "corrected"] == ([0, 2], [0.5, 2.75])
PY
done
