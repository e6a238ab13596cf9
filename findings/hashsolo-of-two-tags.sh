#!/usr/bin/env bash
# scanpy 1.11.5: hashsolo, with its defaults, calls every cell of an experiment with two hashtags "Negative", without a word; with three it is right.
# By default it takes the number of tags less two for noise; with two tags, none is left to estimate noise from.
set -euo pipefail
source "$(dirname "$0")/environment.bash"
environment 3.11 scanpy==1.11.5 anndata==0.12.19 "pandas<3"
"$python" -W ignore - <<'PY'
import anndata, numpy as np, pandas as pd, scanpy
from scanpy.external.pp import hashsolo

def share_right(n_tags: int, **arguments: int) -> float:
    draw = np.random.default_rng(0)
    tag = draw.integers(0, n_tags, 300)
    counts = draw.poisson(5, (300, n_tags)).astype(float)
    counts[np.arange(300), tag] += draw.poisson(200, 300)
    names = [f"tag{i}" for i in range(n_tags)]
    cells = anndata.AnnData(obs=pd.DataFrame(counts, columns=names, index=[f"cell{i}" for i in range(300)]))
    hashsolo(cells, names, **arguments)
    return float((cells.obs["Classification"].astype(str) == [names[i] for i in tag]).mean())

seen = {"two tags": share_right(2), "three tags": share_right(3), "two, noise of one": share_right(2, number_of_noise_barcodes=1)}
print("scanpy", scanpy.__version__, "share of cells called rightly:", seen)
assert seen["two tags"] == 0 and seen["three tags"] > 0.95 and seen["two, noise of one"] > 0.95
PY
