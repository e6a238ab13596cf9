"""Data in which experts should pay: cells of several regimes, each with its own maps between modalities."""

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scmoe.io._quiet import quiet_mudata

NAMES = ("first", "second", "third", "fourth")
"""Of the modalities."""
REGIME = "regime"
N_REGIMES = 8
N_FACTORS, N_HIDDEN, N_FEATURES = 4, 16, 60
SEPARATION, GAIN, NOISE = 2.0, 1.5, 0.5
"""Distance of the regimes in the first modality, steepness of the maps, sd of the noise; factors have an sd of one."""


def simulate_regimes(n_cells: int, seed: int, n_regimes: int = N_REGIMES, n_modalities: int = 2) -> MuData:
    """Modalities of cells whose regime, such as a tissue, decides how one follows from another.

    Cell i of regime r has factors f ~ N(0, 1). The first modality is f A + 2 c_r + noise, with one A for all regimes,
    so it reveals factors and regime. Each other modality v is tanh(f W_vr) V_vr + noise, scaled to a variance of one
    before the noise: no map serves two regimes.

    Parameters
    ----------
    n_cells
        Number of cells.
    seed
        Of the maps and the cells.
    n_regimes
        Number of regimes.
    n_modalities
        From 2 to 4.

    Returns
    -------
    Modalities "first", "second" and so on with 60 features each, ``obs["regime"]``, and in all but the first
    ``layers["clean"]``, the values before the noise, which no prediction can surpass.
    """
    rng = np.random.default_rng(seed)
    regime = rng.integers(n_regimes, size=n_cells)
    factors = rng.normal(size=(n_cells, N_FACTORS))
    shared, centers = rng.normal(size=(N_FACTORS, N_FEATURES)), rng.normal(size=(n_regimes, N_FEATURES))
    clean = [factors @ shared + SEPARATION * centers[regime]]
    for _ in range(n_modalities - 1):
        inner = GAIN * rng.normal(size=(n_regimes, N_FACTORS, N_HIDDEN))
        outer = rng.normal(size=(n_regimes, N_HIDDEN, N_FEATURES))
        hidden = np.tanh(np.einsum("nf,nfh->nh", factors, inner[regime]))
        values = np.einsum("nh,nhd->nd", hidden, outer[regime])
        clean.append((values - values.mean(axis=0)) / values.std(axis=0))
    cells = pd.Index([f"cell{i}" for i in range(n_cells)])
    with quiet_mudata():
        parts = {}
        for name, values in zip(NAMES, clean, strict=False):
            noisy = np.asarray(values + NOISE * rng.normal(size=values.shape), np.float32)
            var = pd.DataFrame(index=[f"{name}{i}" for i in range(N_FEATURES)])
            parts[name] = AnnData(noisy, obs=pd.DataFrame(index=cells), var=var)
            if name != NAMES[0]:
                parts[name].layers["clean"] = values.astype(np.float32)
        mdata = MuData(parts)
    mdata.obs[REGIME] = pd.Categorical([f"regime{i}" for i in regime])
    return mdata
