"""Random data of several modalities from counts to a file and back: nothing of the user's changes, all results fit."""

import tempfile
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from battery.world import TRAIN, contents, nothing_pulled, quiet, tl_train
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mudata import MuData
from scipy import sparse

import scmoe

NAMES = ("rna", "adt", "atac", "Gene Expression", "prot-2", "β")
FORMS = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "dense": np.asarray}
DTYPES = ("float32", "float64", "int32", "int64", "uint16")
CELL_NAMES = ("AAAC-{}", "cell {}", "{}", "α{}/x", "donor.1_{}")
FEATURE_NAMES = ("gene{}", "HLA-DR/{}", "{}", "chr1:{}-9", "β {} (B)")


@st.composite
def mudatas(draw: Any) -> MuData:
    """One to three modalities of counts, of some of the cells each, in any order, with things of the user's."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    n_obs = draw(st.integers(40, 60))
    form = draw(st.sampled_from(CELL_NAMES))
    cells = np.array([form.format(i) for i in range(n_obs)])
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    mods = {}
    for position, name in enumerate(names):
        own = cells if position == 0 or draw(st.booleans()) else cells[rng.random(n_obs) < 0.8]
        mods[name] = modality(draw, rng, rng.permutation(own) if draw(st.booleans()) else own)
    with quiet(), nothing_pulled():
        mdata = MuData(mods)
    return decorate(draw, rng, mdata)


def modality(draw: Any, rng: np.random.Generator, cells: np.ndarray) -> ad.AnnData:
    n_vars = draw(st.integers(3, 12))
    counts = rng.poisson(rng.uniform(0.5, 6, n_vars) * rng.uniform(0.5, 2, (len(cells), 1)))
    counts[:, 0] += 1  # a cell without any count is one that was not measured
    values = FORMS[draw(st.sampled_from(sorted(FORMS)))](counts.astype(draw(st.sampled_from(DTYPES))))
    template = draw(st.sampled_from(FEATURE_NAMES))
    adata = ad.AnnData(
        values,
        obs=pd.DataFrame(index=cells),
        var=pd.DataFrame({"length": rng.integers(9, size=n_vars)}, index=[template.format(i) for i in range(n_vars)]),
    )
    if draw(st.booleans()):
        adata.layers["raw"] = adata.X.copy()
        adata.obsm["X_own"] = rng.normal(size=(len(cells), 2))
        adata.varm["loadings"] = rng.normal(size=(n_vars, 2))
        adata.obs["quality"] = rng.choice([0.5, np.nan], len(cells))
    return adata


def decorate(draw: Any, rng: np.random.Generator, mdata: MuData) -> MuData:
    """Columns with gaps and unused categories, arrays and nested notes."""
    n = mdata.n_obs
    mdata.obs["batch"] = pd.Categorical(rng.choice(["a", "b/c"], n), categories=["a", "b/c", "unused"])
    mdata.obs["kind"] = pd.Categorical(rng.choice(["T", "B", "NK/T"], n), categories=["T", "B", "NK/T", "none"])
    mdata.obs["score"] = np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n))
    if draw(st.booleans()):
        mdata.obs["gaps"] = pd.Categorical(rng.choice(["x", None], n))
        mdata.obs["flag"] = rng.random(n) < 0.5
        mdata.obsm["X_pca"] = rng.normal(size=(n, 3)).astype("float32")
        mdata.uns["own"] = {"a": {"b": np.arange(3)}, "text": "mine"}
        mdata.obsp["graph"] = sparse.random(n, n, 0.05, format="csr", random_state=0)
    return mdata


def comparable(leaf: Any) -> Any:
    """A value as files keep it: whole decimals come back as whole numbers, text as text of some kind."""
    if isinstance(leaf, tuple) and leaf and leaf[0] in ("text", "categorical"):
        return "text"
    if isinstance(leaf, tuple) and len(leaf) == 3 and isinstance(leaf[2], bytes):
        return leaf[1], np.frombuffer(leaf[2], leaf[0]).astype(float).tobytes()
    return tuple(map(comparable, leaf)) if isinstance(leaf, tuple) else leaf


def check_rows(mdata: MuData, model: Any) -> None:
    """The rows of results are those of their cells, in the whole and in each modality."""
    embedding = pd.DataFrame(mdata.obsm["X_scmoe"], mdata.obs_names)
    assert np.isfinite(embedding.to_numpy()).all()
    for adata in mdata.mod.values():
        np.testing.assert_array_equal(adata.obsm["X_scmoe"], embedding.loc[adata.obs_names])
    some = mdata.obs_names[[5, 1, 17]]
    with quiet(), nothing_pulled():
        part = mdata[some].copy()
    again = pd.DataFrame(model.get_latent_representation(part), part.obs_names)
    np.testing.assert_allclose(again.loc[some], embedding.loc[some], atol=1e-5)


FEW = settings(
    max_examples=6,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],  # shrinking takes minutes
    suppress_health_check=list(HealthCheck),
)
SUFFIXES = ("h5mu", "h5mu", "h5mu", "zarr")
"""A store takes seconds."""


@FEW
@given(mdata=mudatas(), batches=st.booleans(), labels=st.booleans(), suffix=st.sampled_from(SUFFIXES))
def test_random_data_there_and_back(mdata: MuData, batches: bool, labels: bool, suffix: str) -> None:
    replaced = {f"mod/{name}/X" for name in mdata.mod}
    before = {path: leaf for path, leaf in contents(mdata).items() if path not in replaced}
    with quiet():
        scmoe.pp.prepare(mdata)
        roles = {"batch_key": "batch"} if batches else {}
        roles |= {"labels_key": "kind"} if labels else {}
        model = tl_train(mdata, train_kwargs=TRAIN, **roles)
        first, *others = mdata.mod
        if others:
            scmoe.tl.impute(mdata, model, source=first, target=others[0])
            assert np.isfinite(np.asarray(model.impute(first, others[0], mdata))).all()
    after = contents(mdata)
    assert [path for path, leaf in before.items() if after.get(path) != leaf] == []
    check_rows(mdata, model)
    with tempfile.TemporaryDirectory() as folder, quiet():
        path = Path(folder) / f"data.{suffix}"
        scmoe.datasets.write(mdata, path)
        again = scmoe.datasets.read(path)
    assert again.obs_names.equals(mdata.obs_names)
    read = contents(again)
    differing = [path for path, leaf in after.items() if comparable(read.get(path)) != comparable(leaf)]
    assert differing == []
