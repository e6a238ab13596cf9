"""Tests of markers: ours, and what others do, all as one table of modality, group, feature and p-value."""

import warnings

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from mudata import MuData
from scipy import stats

from scmoe._keys import COUNTS_LAYER, DEFAULT_KEY, MARKERS
from scmoe._matrix import dense
from scmoe.benchmark.methods._scvi import BATCH as SCVI_BATCH
from scmoe.benchmark.methods._scvi import MAX_EPOCHS, PROTEINS, _cite, _train
from scmoe.differential._markers import benjamini_hochberg
from scmoe.tl._markers import markers

N_POOLS = 4
"""Pools of cells of a group and batch that stand for samples, where there are two donors."""


def by_scmoe(mdata: MuData, groupby: str, batch: str | None) -> pd.DataFrame:
    """`scmoe.tl.markers`."""
    markers(mdata, groupby=groupby, batch_key=batch)
    table = mdata.uns[DEFAULT_KEY][MARKERS]
    text = {name: table[name].astype(str) for name in ("modality", "group", "feature")}
    return pd.DataFrame({**text, "p_value": table["p_value"], "p_adjusted": table["p_adjusted"]})


def by_wilcoxon(mdata: MuData, groupby: str, batch: str | None = None, layer: str | None = None) -> pd.DataFrame:
    """`scanpy.tl.rank_genes_groups` of normalized values, ties corrected for; it knows no batches."""
    parts = []
    for name, adata in mdata.mod.items():
        groups = mdata.obs[groupby].loc[adata.obs_names].astype(str)
        sizes = groups.value_counts()
        is_used = groups.isin(sizes.index[sizes > 1]).to_numpy()
        values = adata.X if layer is None else adata.layers[layer]
        own = AnnData(values[is_used], var=adata.var[[]], obs=pd.DataFrame({groupby: pd.Categorical(groups[is_used])}))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sc.tl.rank_genes_groups(own, groupby, method="wilcoxon", tie_correct=True, use_raw=False)
            table = sc.get.rank_genes_groups_df(own, None)
        names = {"names": "feature", "pvals": "p_value", "pvals_adj": "p_adjusted"}
        parts.append(table.rename(columns=names).assign(modality=name))
    return pd.concat(parts)[["modality", "group", "feature", "p_value", "p_adjusted"]]


def by_pools(mdata: MuData, groupby: str, batch: str | None) -> pd.DataFrame:
    """Welch's t-test of log sums of four random pools of the cells of each group and batch."""
    rng, parts = np.random.default_rng(0), []
    for name, adata in mdata.mod.items():
        groups = mdata.obs[groupby].loc[adata.obs_names].astype(str)
        batches = mdata.obs[batch].loc[adata.obs_names].astype(str) if batch else pd.Series("", adata.obs_names)
        pools = groups.str.cat([batches, pd.Series(rng.integers(0, N_POOLS, len(groups)).astype(str), groups.index)])
        counts = pd.DataFrame(dense(adata.layers[COUNTS_LAYER]), index=adata.obs_names).groupby(pools).sum()
        logarithms = np.log2(counts.div(counts.sum(1), axis=0) * 1e6 + 1)
        of_pool = groups.groupby(pools).first().loc[logarithms.index]
        for group in of_pool.unique():
            is_in = (of_pool == group).to_numpy()
            p = stats.ttest_ind(logarithms[is_in], logarithms[~is_in], equal_var=False).pvalue
            columns = {"modality": name, "group": group, "feature": adata.var_names, "p_value": p}
            parts.append(pd.DataFrame({**columns, "p_adjusted": benjamini_hochberg(np.asarray(p, dtype=float))}))
    return pd.concat(parts)


def by_totalvi(mdata: MuData, groupby: str, batch: str | None, *, seed: int = 0) -> pd.DataFrame:
    """`scvi.model.TOTALVI.differential_expression`, by one minus the probability of a difference; no p-value."""
    import scvi

    adata = _cite(mdata, batch)
    adata.obs[groupby] = mdata.obs[groupby].astype(str).loc[adata.obs_names].to_numpy()
    key = None if batch is None else SCVI_BATCH
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scvi.model.TOTALVI.setup_anndata(adata, protein_expression_obsm_key=PROTEINS, batch_key=key)
        model = _train(scvi.model.TOTALVI, adata, seed, MAX_EPOCHS)
        table = model.differential_expression(groupby=groupby, batch_correction=batch is not None, silent=True)
    table = table.reset_index(names="feature")
    group = table["comparison"].str.removesuffix(" vs Rest")
    names = set(mdata["rna"].var_names)
    modality = np.where(table["feature"].isin(names), "rna", "adt")
    columns = {"modality": modality, "group": group, "feature": table["feature"], "p_value": 1 - table["proba_de"]}
    called = next(name for name in table if name.startswith("is_de_fdr"))
    return pd.DataFrame({**columns, "p_adjusted": np.where(table[called], 0.0, 1.0)})
