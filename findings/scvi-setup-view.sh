#!/usr/bin/env bash
# scvi-tools 1.4.2: the view of a model's setup, the first thing that its tutorials show, ends in an AttributeError in a plain script.
# It uses a submodule of rich that it does not import; where something else has imported it, as a notebook does, all is well.
set -euo pipefail
source "$(dirname "$0")/environment.bash"
environment 3.11 scvi-tools==1.4.2 torch==2.13.0 "pandas<3"
"$python" -W ignore - <<'PY'
import anndata, numpy as np, scvi

adata = anndata.AnnData(np.random.default_rng(0).poisson(1.0, (20, 5)).astype("float32"))
scvi.model.SCVI.setup_anndata(adata)
model = scvi.model.SCVI(adata)
try:
    model.view_anndata_setup()
    seen = "shown"
except AttributeError as error:
    seen = str(error)
print("scvi-tools", scvi.__version__, "view_anndata_setup:", seen)
assert "rich" in seen and "pretty" in seen
PY
