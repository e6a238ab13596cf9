"""What is measured: errors where nothing differs, power where it is known what does, and time."""

import time
from typing import Any

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scmoe._keys import Keys
from scmoe.differential._markers import marker_table
from scmoe.differential._observed import observe
from scmoe.io._quiet import quiet_mudata
from scmoe.pp._prepare import prepare
from scmoe.pp._split_counts import split_counts
from scmoe.studies.markers._data import (
    ADT,
    BATCH,
    GROUP,
    RNA,
    TYPE,
    Known,
    bmmc_cite,
    with_network,
    with_shuffled,
    with_thinned,
)
from scmoe.studies.markers._rivals import by_pools, by_scmoe, by_totalvi, by_wilcoxon
from scmoe.tl._denoise import denoise
from scmoe.tl._markers import markers
from scmoe.tl._train import train

ALPHA = 0.05
MIN_DETECTED = 0.1
SCMOE, WILCOXON, POOLS, TOTALVI, ON_DENOISED = (
    "scmoe.tl.markers",
    "Wilcoxon (scanpy)",
    "t-test of pools",
    "totalVI",
    "Wilcoxon of denoised values",
)
SETTINGS = ("even", "batches", "depth", "shallow", "network")
N_TIMED, N_TIMED_GENES, N_TIMED_GROUPS, ROUNDS = 7000, 4000, 15, 3
Rows = list[dict[str, Any]]


def shuffled(seed: int, *, quick: bool) -> Rows:
    """Share of pairs of a shuffled feature and a group at adjusted p < .05, by what made the groups."""
    rows: Rows = []
    for split in (False, True):
        known = with_shuffled(seed)
        if split:
            split_counts(known.mdata, seed=seed)
        prepare(known.mdata)
        epochs = 5 if quick else None
        model = train(known.mdata, batch_key=BATCH, seed=seed, max_epochs=epochs, train_kwargs=_quiet())
        clusters = Keys().cluster
        if not split:
            for batch in (None, BATCH):
                rows += _shares(by_scmoe(known.mdata, TYPE, batch), known, SCMOE, TYPE, batch)
            rows += _shares(by_wilcoxon(known.mdata, TYPE), known, WILCOXON, TYPE, None)
        groups = f"own clusters{', counts split' if split else ''}"
        for batch in (None, BATCH):
            rows += _shares(by_scmoe(known.mdata, clusters, batch), known, SCMOE, groups, batch)
        if not split:
            rows += _shares(by_wilcoxon(known.mdata, clusters), known, WILCOXON, groups, None)
            for name in known.mdata.mod:
                denoise(known.mdata, model, modality=name)
            for column, what in ((TYPE, TYPE), (clusters, groups)):
                table = by_wilcoxon(known.mdata, column, layer=Keys().denoised)
                rows += _shares(table, known, ON_DENOISED, what, None)
    return rows


def donors(seed: int) -> Rows:
    """The same with a simulated effect of the donor, of cells whose types go with the donor."""
    known = with_shuffled(seed, donor_effect=True)
    prepare(known.mdata)
    groups = "cell_type, two donors that differ"
    rows = _shares(by_scmoe(known.mdata, TYPE, BATCH), known, SCMOE, groups, BATCH)
    return [
        *rows,
        *_shares(by_scmoe(known.mdata, TYPE, None), known, SCMOE, groups, None),
        *_shares(by_wilcoxon(known.mdata, TYPE), known, WILCOXON, groups, None),
    ]


def permuted(seed: int, n_draws: int) -> Rows:
    """Share of p < .05 where labels are permuted, of features that a tenth of the cells have."""
    mdata = bmmc_cite()
    prepare(mdata)
    rng, rows = np.random.default_rng(seed), []
    batches = pd.factorize(mdata.obs[BATCH])[0]
    for batch in (None, BATCH):
        codes = np.zeros(mdata.n_obs, int) if batch is None else batches
        for name in (RNA, ADT):
            observed, features = observe(mdata, name, batch), mdata[name].var_names
            assert observed.detected is not None
            rate = np.asarray((observed.detected > 0).mean(0)).ravel()
            often = set(features[rate >= MIN_DETECTED])
            labels, shares = mdata.obs[TYPE].astype(str).loc[mdata[name].obs_names].to_numpy(), []
            for _ in range(n_draws):
                table = marker_table(observed, features, pd.Categorical(rng.permutation(labels)), codes)
                p = table.loc[table["feature"].isin(often), "p_value"].dropna()
                shares.append(float((p < ALPHA).mean()))
            share = {"share": float(np.mean(shares)), "sd": float(np.std(shares)), "n_draws": n_draws}
            rows.append({"modality": name, "batch": batch is not None, **share})
    return rows


def power(setting: str, seed: int, *, totalvi: bool = False, quick: bool = False) -> Rows:
    """What of the known differences is called, where a twentieth of the calls are false; and at adjusted p < .05.

    By totalVI alone, which takes minutes, or by all others.
    """
    known = with_network(seed, 400 if quick else 1000) if setting == "network" else with_thinned(setting, seed)
    prepare(known.mdata)
    methods = {TOTALVI: by_totalvi} if totalvi else {SCMOE: by_scmoe, WILCOXON: by_wilcoxon, POOLS: by_pools}
    tables = {name: test(known.mdata, known.groupby, BATCH) for name, test in methods.items()}
    return [{"setting": setting, "method": name, **_calls(table, known)} for name, table in tables.items()]


def timed() -> Rows:
    """Seconds of `scmoe.tl.markers` and of scanpy's Wilcoxon test on the same cells, the best of three rounds."""
    rng = np.random.default_rng(0)
    rate = np.exp(rng.normal(-2, 1.2, N_TIMED_GENES)) * rng.lognormal(0, 0.4, (N_TIMED, 1))
    adata = AnnData(sparse.csr_matrix(rng.poisson(rate).astype(np.float32)))
    adata.obs[GROUP] = pd.Categorical(rng.integers(0, N_TIMED_GROUPS, N_TIMED).astype(str))
    with quiet_mudata():
        mdata = MuData({RNA: adata})
    mdata.obs[GROUP] = adata.obs[GROUP]
    prepare(mdata, n_top_features=None)
    seconds: dict[str, list[float]] = {SCMOE: [], WILCOXON: []}
    for _ in range(ROUNDS):
        start = time.perf_counter()
        markers(mdata, groupby=GROUP)
        middle = time.perf_counter()
        sc.tl.rank_genes_groups(mdata[RNA], GROUP, method="wilcoxon", use_raw=False)
        seconds[SCMOE].append(middle - start)
        seconds[WILCOXON].append(time.perf_counter() - middle)
    return [{"method": name, "seconds": min(values)} for name, values in seconds.items()]


def _shares(table: pd.DataFrame, known: Known, method: str, groups: str, batch: str | None) -> Rows:
    """Of the shuffled features, and of the others, by modality; what was not tested is not counted."""
    rows = []
    for name, null in known.null.items():
        own = table[(table["modality"] == name) & table["p_value"].notna()]
        is_null = own["feature"].isin(null)
        rows.append(
            {
                "method": method,
                "groups": groups,
                "batch": batch is not None,
                "modality": name,
                "shuffled": float((own.loc[is_null, "p_adjusted"] < ALPHA).mean()),
                "others": float((own.loc[~is_null, "p_adjusted"] < ALPHA).mean()),
            }
        )
    return rows


def _calls(table: pd.DataFrame, known: Known) -> dict[str, float]:
    """Share of the known differences that are called at a realized false discovery rate of .05, and at p_adjusted."""
    table = table.dropna(subset="p_value")
    index = pd.MultiIndex.from_frame(table[["modality", "group", "feature"]].astype(str))
    is_true = index.isin(known.changed)
    is_null = np.array([feature in known.null[name] for name, _, feature in index]) & ~is_true
    return recall_at_fdr(table["p_value"].to_numpy(dtype=float), is_true, is_null, len(known.changed)) | _at_alpha(
        (table["p_adjusted"] < ALPHA).to_numpy(), is_true, is_null, len(known.changed)
    )


def recall_at_fdr(p: np.ndarray, is_true: np.ndarray, is_null: np.ndarray, n_true: int) -> dict[str, float]:
    """The largest share of the differences that a threshold calls with at most a twentieth of false calls.

    Features that are neither known to differ nor known not to are not looked at. Of equal p-values all are called.
    """
    is_known = is_true | is_null
    frame = pd.DataFrame({"p": p[is_known], "true": is_true[is_known]}).groupby("p")["true"].agg(["sum", "size"])
    true, called = frame["sum"].cumsum(), frame["size"].cumsum()
    n_found = true[(called - true) <= ALPHA * called].max() if n_true else 0
    return {"power": 0.0 if np.isnan(n_found) else float(n_found / n_true)}


def _at_alpha(is_called: np.ndarray, is_true: np.ndarray, is_null: np.ndarray, n_true: int) -> dict[str, float]:
    n_false, n_found = int((is_called & is_null).sum()), int((is_called & is_true).sum())
    return {"found": n_found / max(n_true, 1), "false": n_false / max(n_false + n_found, 1)}


def _quiet() -> dict[str, Any]:
    return {"enable_progress_bar": False, "accelerator": "cpu"}
