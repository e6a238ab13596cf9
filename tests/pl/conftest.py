import anndata as ad
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from mudata import MuData

from scmoe.explain import ablation_table, attention_table, usage_table
from scmoe.io._quiet import quiet_mudata

matplotlib.use("Agg")

N_CELLS, N_EXPERTS = 30, 4
PROTEINS = ["CD3", "CD4", "CD8a", "CD19", "CD56"]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def mdata() -> MuData:
    """Results as `scmoe.tl` stores them; the last 10 cells lack the protein modality."""
    rng = np.random.default_rng(0)
    cells = np.array([f"cell{i}" for i in range(N_CELLS)])
    rna = ad.AnnData(rng.normal(size=(N_CELLS, 8)), obs=pd.DataFrame(index=cells))
    adt = ad.AnnData(
        rng.normal(size=(20, len(PROTEINS))), obs=pd.DataFrame(index=cells[:20]), var=pd.DataFrame(index=PROTEINS)
    )
    with quiet_mudata():
        mdata = MuData({"rna": rna, "adt": adt})
    mdata.obs["cell_type"] = pd.Categorical(np.resize(["B", "T", "NK"], N_CELLS))
    mdata.obs["held_out"] = np.arange(N_CELLS) % 2 == 0
    truth = np.full((N_CELLS, len(PROTEINS)), np.nan)
    truth[:20] = adt.X
    predicted = np.where(np.isnan(truth), 0.0, truth) + 0.3 * rng.normal(size=truth.shape)
    adt.layers["scmoe_adt_from_rna"] = predicted[:20]
    groups = mdata.obs["cell_type"]
    shares = {m: rng.dirichlet(np.ones(N_EXPERTS), size=(N_CELLS, 2)) for m in ("rna", "adt")}
    shares["adt"][20:] = np.nan
    heads = rng.dirichlet(np.ones(2), size=(N_CELLS, 2, 2, 2))  # layers, heads, queries
    heads[20:] = [[1, np.nan], [np.nan, np.nan]]
    rollout = (heads.mean(2) + np.eye(2)) / 2
    loss = np.repeat(rng.uniform(1, 2, size=(N_CELLS, 1, 3)), 2, axis=1)
    loss[20:] = np.nan
    ablation = ablation_table(loss, loss + rng.random(loss.shape), ["rna", "adt"], ["rna", "adt", "label"], groups)
    epochs = np.arange(6)
    mdata.uns["scmoe"] = {
        "history": pd.DataFrame(
            {"train_loss": 1 / (epochs + 1), "validation_loss": [3.0, 2, 1, 2, np.nan, 3], "ddc": epochs / 10.0}
        ).set_axis(epochs.astype(str)),
        "expert_usage": usage_table(shares, shares, groups),
        "expert_usage_groupby": "cell_type",
        "attention": attention_table(heads, ["rna", "adt"], groups, rollout=rollout),
        "ablation": ablation.assign(how="hide", cells="test"),
        "attention_groupby": "cell_type",
    }
    return mdata
