"""Cells of which it is known what differs: genes without any effect, and genes with one that was put there."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray
from scipy import sparse

from scmoe._check import layer_names
from scmoe._keys import TRUTH_LAYER
from scmoe._matrix import dense
from scmoe.datasets._bundled import bmmc_cite
from scmoe.datasets.grn._cells import simulate_grn

RNA, ADT, TYPE, BATCH, GROUP = "rna", "adt", "cell_type", "batch", "group"
N_SHUFFLED = {RNA: 200, ADT: 40}
"""Of 1000 genes and 134 proteins."""
DONOR_SD = 0.7
"""Standard deviation of the logarithm of what a simulated donor does to a gene."""
SHARE_CHANGED = 0.1
"""Features with an effect, where it is put there."""
KEPT = 0.5
"""Share of the molecules of such a feature that one of the groups has left."""
SHALLOW = 0.6
"""Share of all molecules that are left where depths differ."""
MIN_CHANGE = 0.5
"""Fold change (log2) of true molecules from which a simulated gene counts as different."""


class Known(NamedTuple):
    """Raw counts in ``X``, groups in a column of ``obs``, and what differs."""

    mdata: MuData
    groupby: str
    null: dict[str, set[str]]
    """By modality, features that differ between no groups."""
    changed: pd.MultiIndex
    """Modality, group and feature of what differs between the group and the others."""


def with_shuffled(seed: int, *, donor_effect: bool = False) -> Known:
    """The bundled cells, some features of which are shuffled over all cells.

    With `donor_effect`, one of the two donors has fewer molecules of each of them, drawn at random which and how many;
    and lacks four in five of the cells of every second type, so that types and donors go together.
    """
    rng = np.random.default_rng(seed)
    mdata = bmmc_cite()
    if donor_effect:
        types = mdata.obs[TYPE].astype("category").cat.codes.to_numpy() % 2
        is_first = (mdata.obs[BATCH] == mdata.obs[BATCH].iloc[0]).to_numpy()
        mdata = mdata[(types == is_first) | (rng.random(mdata.n_obs) < 0.2)].copy()
    is_first = (mdata.obs[BATCH] == sorted(mdata.obs[BATCH].unique())[0]).to_numpy()
    null = {}
    for name, n in N_SHUFFLED.items():
        counts, features = dense(mdata[name].X), rng.choice(mdata[name].n_vars, n, replace=False)
        for feature in features:
            counts[:, feature] = rng.permutation(counts[:, feature])
        if donor_effect:
            factor = np.exp(rng.normal(0, DONOR_SD, n))
            keep = np.where(is_first[:, None], np.minimum(factor, 1), np.minimum(1 / factor, 1))
            counts[:, features] = rng.binomial(counts[:, features].astype(int), keep)
        mdata[name].X = sparse.csr_matrix(counts)
        null[name] = set(mdata[name].var_names[features])
    return Known(mdata, TYPE, null, pd.MultiIndex.from_tuples([], names=["modality", "group", "feature"]))


def with_thinned(kind: str, seed: int) -> Known:
    """The bundled cells in two random groups, each of which has lost half the molecules of some features.

    Parameters
    ----------
    kind
        ``"even"``: groups are drawn without regard to anything; ``"batches"``: four in five cells of the first group
        are of one donor, and of the second of the other; ``"depth"``: the same, and
        the first donor has six tenths of all molecules; ``"shallow"``: groups are drawn evenly, and the second has.
    seed
        Of the draw.
    """
    rng = np.random.default_rng(seed)
    mdata = bmmc_cite()
    chance = np.full(mdata.n_obs, 0.5)
    is_shallow = np.zeros(mdata.n_obs, bool)
    if kind in ("batches", "depth"):
        chance = np.where(mdata.obs[BATCH] == mdata.obs[BATCH].iloc[0], 0.8, 0.2)
    is_second = rng.random(mdata.n_obs) > chance
    if kind in ("depth", "shallow"):
        is_shallow = is_second if kind == "shallow" else chance > 0.5
    mdata.obs[GROUP] = pd.Categorical(np.where(is_second, "b", "a"))
    null, changed = {}, []
    for name in (RNA, ADT):
        counts, n_features = dense(mdata[name].X), mdata[name].n_vars
        counts[is_shallow] = rng.binomial(counts[is_shallow].astype(int), SHALLOW)
        features = rng.choice(n_features, round(SHARE_CHANGED * n_features), replace=False)
        # Half of them in either group: else the total would change, and all other features relative to it.
        for is_thinned, own in ((is_second, features[::2]), (~is_second, features[1::2])):
            cells = np.ix_(is_thinned, own)
            counts[cells] = rng.binomial(counts[cells].astype(int), KEPT)
        mdata[name].X = sparse.csr_matrix(counts)
        names = set(mdata[name].var_names[features])
        null[name] = set(mdata[name].var_names) - names
        changed += [(name, group, feature) for group in ("a", "b") for feature in names]
    index = pd.MultiIndex.from_tuples(changed, names=["modality", "group", "feature"])
    return Known(mdata, GROUP, null, index)


def with_network(seed: int, n_cells: int) -> Known:
    """RNA and proteins of simulated cells in their stages, with every second gene shuffled relative to depth."""
    rng = np.random.default_rng(seed)
    source = simulate_grn(n_cells=n_cells, seed=seed)
    mods = {RNA: source[RNA].copy(), ADT: source["protein"].copy()}
    stages = source.obs["stage"].astype(str)
    null, changed = {}, []
    for name, adata in mods.items():
        counts, truth = np.round(dense(adata.X)).astype(int), dense(adata.layers[TRUTH_LAYER])
        features = rng.permutation(adata.n_vars)[: adata.n_vars // 2]
        depth = np.maximum(counts.sum(1), 1)
        for feature in features:
            counts[:, feature] = _shuffled(counts[:, feature], depth, rng)
        adata.X = sparse.csr_matrix(counts.astype(np.float32))
        for layer in layer_names(adata):
            del adata.layers[layer]
        null[name] = set(adata.var_names[features])
        others = np.setdiff1d(np.arange(adata.n_vars), features)
        for stage in np.unique(stages):
            is_in = (stages == stage).to_numpy()
            change = np.log2((truth[is_in].mean(0) + 1) / (truth[~is_in].mean(0) + 1))
            changed += [(name, stage, adata.var_names[j]) for j in others if abs(change[j]) >= MIN_CHANGE]
    mdata = MuData(mods)
    mdata.obs[GROUP] = pd.Categorical(stages.loc[mdata.obs_names])
    mdata.obs[BATCH] = source.obs[BATCH].loc[mdata.obs_names].to_numpy()
    index = pd.MultiIndex.from_tuples(changed, names=["modality", "group", "feature"])
    return Known(mdata, GROUP, null, index)


def _shuffled(counts: NDArray[np.integer], depth: NDArray[np.floating], rng: np.random.Generator) -> NDArray:
    """Counts of other cells, as they would be at the depth of a cell: fewer by thinning, more by a Poisson draw."""
    other = rng.permutation(len(counts))
    ratio = depth / depth[other]
    fewer = rng.binomial(counts[other], np.minimum(ratio, 1))
    return np.where(ratio <= 1, fewer, rng.poisson(counts[other] * ratio))
