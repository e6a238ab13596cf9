"""Data in which experts should pay: cells of several regimes, each with its own map from one modality to the other."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import ArrayLike, NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import mutual_info_score

from scmoe.benchmark._baselines import pca_embedding
from scmoe.data._setup import prepared_kinds
from scmoe.io._quiet import quiet_mudata

FIRST, SECOND, REGIME = "first", "second", "regime"
N_REGIMES = 8
N_FACTORS, N_HIDDEN, N_FEATURES = 4, 16, 60
SEPARATION, GAIN, NOISE = 2.0, 1.5, 0.5
"""Distance of the regimes in the first modality, steepness of the maps, sd of the noise; factors have an sd of one."""
N_PROGRAMS = 30
"""Of a file's RNA, half of them for each modality."""


def simulate_regimes(n_cells: int, seed: int) -> MuData:
    """Two modalities of cells whose regime decides how one follows from the other.

    Cell i of regime r has factors f ~ N(0, 1). The first modality is f A + 2 c_r + noise, with one A for all regimes,
    so it reveals factors and regime. The second is tanh(f W_r) V_r + noise, scaled to a variance of one before the
    noise: no map serves two regimes.

    Parameters
    ----------
    n_cells
        Number of cells.
    seed
        Of the maps and the cells.

    Returns
    -------
    Modalities "first" and "second" with 60 features each, ``obs["regime"]``, and in the second ``layers["clean"]``, the
    values before the noise, which no prediction can surpass.
    """
    rng = np.random.default_rng(seed)
    regime = rng.integers(N_REGIMES, size=n_cells)
    factors = rng.normal(size=(n_cells, N_FACTORS))
    shared, centers = rng.normal(size=(N_FACTORS, N_FEATURES)), rng.normal(size=(N_REGIMES, N_FEATURES))
    first = factors @ shared + SEPARATION * centers[regime]
    inner = GAIN * rng.normal(size=(N_REGIMES, N_FACTORS, N_HIDDEN))
    outer = rng.normal(size=(N_REGIMES, N_HIDDEN, N_FEATURES))
    hidden = np.tanh(np.einsum("nf,nfh->nh", factors, inner[regime]))
    clean = np.einsum("nh,nhd->nd", hidden, outer[regime])
    clean = (clean - clean.mean(axis=0)) / clean.std(axis=0)
    a, b = (values + NOISE * rng.normal(size=values.shape) for values in (first, clean))
    mdata = _two_modalities(a, b, pd.Index([f"cell{i}" for i in range(n_cells)]), regime)
    mdata.mod[SECOND].layers["clean"] = clean.astype(np.float32)
    return mdata


def halves_of_programs(mdata: MuData, seed: int) -> MuData:
    """The gene programs of a file as two modalities: components 1, 3, 5, ... and 2, 4, 6, ....

    Components are uncorrelated over all cells, so what one half says of the other is not linear, or differs between
    regimes, which are k-means clusters of all components.

    Parameters
    ----------
    mdata
        Prepared data with a modality of kind "rna" or "lognormalized".
    seed
        Of PCA and k-means.

    Raises
    ------
    ValueError
        If there is no such modality.
    """
    kinds = prepared_kinds(mdata, list(mdata.mod))
    names = [name for name, kind in kinds.items() if kind in ("rna", "lognormalized")]
    if not names:
        listing = ", ".join(f"{name} ({kind})" for name, kind in kinds.items())
        raise ValueError(f"The data must have a modality with RNA; found {listing}. Name it 'rna'.")
    cells = mdata.mod[names[0]].obs_names
    with quiet_mudata():
        rna = MuData({names[0]: mdata.mod[names[0]]})
    scores = pca_embedding(rna, np.arange(len(cells)), N_PROGRAMS, seed=seed)
    regime = KMeans(N_REGIMES, n_init=10, random_state=seed).fit_predict(scores)
    return _two_modalities(scores[:, ::2], scores[:, 1::2], cells, regime)


def specialization(use: Mapping[str, NDArray[np.floating]], regime: ArrayLike) -> dict[str, float]:
    """How much the most used expert tells of modality and regime.

    Parameters
    ----------
    use
        What `scmoe.model.SCMOE.get_router_activations` returns: by modality (n_cells, layers, experts).
    regime
        Of each cell.

    Returns
    -------
    ``router_modality``: mutual information of expert and modality, divided by the entropy of the modality.
    ``router_regime``: the same of expert and regime within each modality, on average. 0: nothing; 1: all. Experts are
    those of the last layer.
    """
    top = {name: values[:, -1].argmax(axis=1) for name, values in use.items()}
    modality = np.repeat(list(top), [len(expert) for expert in top.values()])
    return {
        "router_modality": _shared_information(np.concatenate(list(top.values())), modality),
        "router_regime": float(np.mean([_shared_information(expert, regime) for expert in top.values()])),
    }


def _shared_information(expert: ArrayLike, truth: ArrayLike) -> float:
    return float(mutual_info_score(expert, truth) / mutual_info_score(truth, truth))


def _two_modalities(
    first: NDArray[np.floating], second: NDArray[np.floating], cells: pd.Index, regime: NDArray[np.integer]
) -> MuData:
    with quiet_mudata():
        parts = {}
        for name, values in ((FIRST, first), (SECOND, second)):
            features = pd.DataFrame(index=[f"{name}{i}" for i in range(values.shape[1])])
            parts[name] = AnnData(np.asarray(values, np.float32), obs=pd.DataFrame(index=cells), var=features)
        mdata = MuData(parts)
    mdata.obs[REGIME] = pd.Categorical([f"regime{i}" for i in regime])
    return mdata
