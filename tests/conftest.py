"""Small simulated data with planted structure, a tiny trained model, and a deep comparison of MuData objects."""

from collections.abc import Callable, Mapping
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from battery.leaves import flatten
from hypothesis import settings
from mudata import MuData
from scipy import sparse

import scmoe
from scmoe._keys import RESULT_PATHS
from scmoe.io._quiet import quiet_mudata

settings.register_profile("scmoe", deadline=None)  # a busy machine is no fault
settings.load_profile("scmoe")
N_CELLS, N_GENES, N_PROTEINS, N_EPHYS = 120, 60, 12, 8
TYPES = ("B", "NK", "T")
NETWORK = {
    "n_hidden": 16,
    "n_heads": 2,
    "n_experts": 4,
    "n_tokens": 2,
    "n_programs": 8,
    "expert_hidden": 16,
    "decoder_hidden": 16,
}
GENE_NETWORK = {
    "encoder_layers": 1,
    "encoder_heads": 2,
    "encoder_width": 16,
    "decoder_heads": 2,
    "decoder_width": 8,
    "n_bins": 6,
}
"""Of a gene model that trains in no time."""
TRAIN = {"accelerator": "cpu", "batch_size": 32, "enable_progress_bar": False}


def planted_counts(rng: np.random.Generator, cell_type: np.ndarray, n_features: int, level: float) -> np.ndarray:
    """Poisson counts; each type has a third of the features eight times higher than the others have them."""
    rate = np.full((len(TYPES), n_features), level)
    for i in range(len(TYPES)):
        rate[i, i :: len(TYPES)] *= 8
    depth = rng.uniform(0.7, 1.3, size=(len(cell_type), 1))
    return rng.poisson(rate[cell_type] * depth).astype(np.float32)


def modality(values: np.ndarray | sparse.csr_matrix, cells: np.ndarray, prefix: str) -> ad.AnnData:
    features = pd.DataFrame(index=[f"{prefix}{i}" for i in range(values.shape[1])])
    return ad.AnnData(values, obs=pd.DataFrame(index=cells), var=features)


def simulate_raw() -> MuData:
    """Raw counts of "rna" (CSR) and "adt" (dense) in the same cells, the latter in another order."""
    rng = np.random.default_rng(0)
    cell_type = rng.integers(len(TYPES), size=N_CELLS)
    cells = np.array([f"cell{i}" for i in range(N_CELLS)])
    rna = modality(sparse.csr_matrix(planted_counts(rng, cell_type, N_GENES, 0.5)), cells, "gene")
    adt = modality(planted_counts(rng, cell_type, N_PROTEINS, 5.0), cells, "protein")
    with quiet_mudata():
        mdata = MuData({"rna": rna, "adt": adt[rng.permutation(N_CELLS)].copy()})
    mdata.obs["cell_type"] = pd.Categorical(np.array(TYPES)[cell_type])
    mdata.obs["batch"] = pd.Categorical(np.where(np.arange(N_CELLS) % 2, "donor1", "donor2"))
    return mdata


def simulate_paired() -> MuData:
    mdata = simulate_raw()
    scmoe.pp.prepare(mdata)
    return mdata


def simulate_mosaic() -> MuData:
    """Three modalities: every cell has "rna" or "adt", a third lacks each, and "ephys" has NaN entries."""
    paired, rng = simulate_paired(), np.random.default_rng(1)
    i = np.arange(N_CELLS)
    cell_type = paired.obs["cell_type"].cat.codes.to_numpy()
    signal = rng.normal(size=(len(TYPES), N_EPHYS))[cell_type] + 0.3 * rng.normal(size=(N_CELLS, N_EPHYS))
    signal[rng.random(signal.shape) < 0.1] = np.nan
    names = paired.obs_names
    with quiet_mudata():
        mdata = MuData(
            {
                "rna": paired["rna"][names[i % 3 != 0]].copy(),
                "adt": paired["adt"][names[i % 3 != 1]].copy(),
                "ephys": modality(signal, names.to_numpy(), "ephys")[names[i % 4 != 2]].copy(),
            }
        )
    mdata.obs[["cell_type", "batch"]] = paired.obs[["cell_type", "batch"]]
    return mdata


def simulate_single() -> MuData:
    """One AnnData as a MuData."""
    paired = simulate_paired()
    with quiet_mudata():
        mdata = MuData({"rna": paired["rna"].copy()})
    mdata.obs[["cell_type", "batch"]] = paired.obs[["cell_type", "batch"]]
    return mdata


def simulate_genes() -> ad.AnnData:
    """Counts of 64 cells x 40 genes; cell 5 has none, gene 7 is never seen; few cells have a ``"few"`` label."""
    rng = np.random.default_rng(2)
    cell_type = rng.integers(len(TYPES), size=64)
    counts = planted_counts(rng, cell_type, 40, 0.5)
    counts[5], counts[:, 7] = 0, 0
    adata = modality(sparse.csr_matrix(counts), np.array([f"cell{i}" for i in range(64)]), "gene")
    adata.obs["cell_type"] = pd.Categorical(np.array(TYPES)[cell_type])
    adata.obs["few"] = np.where(np.arange(64) % 3 == 0, np.array(TYPES)[cell_type], "Unknown")
    return adata


SIMULATIONS = {
    "raw": simulate_raw,
    "paired": simulate_paired,
    "mosaic": simulate_mosaic,
    "single": simulate_single,
}


@pytest.fixture(scope="session")
def fresh() -> Callable[[str], MuData]:
    """A function: name of a simulation to a copy of it that the test may change."""
    made: dict[str, MuData] = {}

    def copy(name: str) -> MuData:
        if name not in made:
            made[name] = SIMULATIONS[name]()
        with quiet_mudata():
            return made[name].copy()

    return copy


@pytest.fixture
def raw(fresh: Callable[[str], MuData]) -> MuData:
    return fresh("raw")


@pytest.fixture
def paired(fresh: Callable[[str], MuData]) -> MuData:
    return fresh("paired")


@pytest.fixture
def mosaic(fresh: Callable[[str], MuData]) -> MuData:
    return fresh("mosaic")


@pytest.fixture
def single(fresh: Callable[[str], MuData]) -> MuData:
    return fresh("single")


@pytest.fixture(scope="session")
def tiny() -> dict[str, Any]:
    """Settings of a network that trains in no time."""
    return dict(NETWORK)


@pytest.fixture(scope="session")
def tl_train() -> Callable[..., Any]:
    """`scmoe.tl.train` of a tiny network for two epochs."""

    def train(mdata: MuData, *, train_kwargs: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        return scmoe.tl.train(
            mdata, train_kwargs={**TRAIN, **(train_kwargs or {})}, **{**NETWORK, "max_epochs": 2, **kwargs}
        )

    return train


@pytest.fixture(scope="session")
def fit_model() -> Callable[..., Any]:
    """A tiny `SCMOE`, set up and trained for two epochs; the results stay in the model."""

    def fit(
        mdata: MuData,
        *,
        setup: Mapping[str, Any] | None = None,
        network: Mapping[str, Any] | None = None,
        seed: int = 0,
        **train_kwargs: Any,
    ) -> Any:
        scmoe.model.SCMOE.setup_mudata(mdata, **(setup or {}))
        model = scmoe.model.SCMOE(mdata, seed=seed, **{**NETWORK, **(network or {})})
        model.train(**{**TRAIN, "max_epochs": 2, **train_kwargs})
        return model

    return fit


@pytest.fixture
def genes() -> ad.AnnData:
    """See `simulate_genes`."""
    return simulate_genes()


@pytest.fixture(scope="session")
def tiny_genes() -> Callable[..., Any]:
    """A tiny `XTRIMOGENE`, set up and not trained."""

    def make(adata: ad.AnnData, *, setup: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        scmoe.model.XTRIMOGENE.setup_anndata(adata, **(setup or {}))
        return scmoe.model.XTRIMOGENE(adata, **{**GENE_NETWORK, **kwargs})

    return make


@pytest.fixture(scope="session")
def fit_genes(tiny_genes: Callable[..., Any]) -> Callable[..., Any]:
    """A tiny `XTRIMOGENE`, set up and pretrained for two epochs."""

    def fit(
        adata: ad.AnnData,
        *,
        setup: Mapping[str, Any] | None = None,
        network: Mapping[str, Any] | None = None,
        seed: int = 0,
        **train_kwargs: Any,
    ) -> Any:
        model = tiny_genes(adata, setup=setup, seed=seed, **(network or {}))
        model.train(**{**TRAIN, "max_epochs": 2, "batch_size": 16, **train_kwargs})
        return model

    return fit


@pytest.fixture(scope="session")
def pretrained(fit_genes: Callable[..., Any]) -> Any:
    """A gene model that has learned the planted types a little; not to be changed."""
    return fit_genes(simulate_genes(), max_epochs=10, plan_kwargs={"lr": 1e-2})


@pytest.fixture(scope="session")
def pretrained_depth(fit_genes: Callable[..., Any]) -> Any:
    """A gene model with depth tokens, two decoder layers and exact attention; not to be changed."""
    network = {"depth_tokens": True, "decoder_layers": 2, "decoder_attention": "exact"}
    return fit_genes(simulate_genes(), network=network, max_epochs=8, plan_kwargs={"lr": 1e-2})


@pytest.fixture(scope="session")
def trained(fresh: Callable[[str], MuData], fit_model: Callable[..., Any]) -> Any:
    """A model of "paired", with labels and batches, trained long enough to have learned the planted types."""
    setup = {"labels_key": "cell_type", "batch_key": "batch"}
    return fit_model(fresh("paired"), setup=setup, max_epochs=15, plan_kwargs={"lr": 1e-2})


@pytest.fixture(scope="session")
def trained_mosaic(fresh: Callable[[str], MuData], fit_model: Callable[..., Any]) -> Any:
    """A model of "mosaic", without labels."""
    return fit_model(fresh("mosaic"))


@pytest.fixture(scope="session")
def contents() -> Callable[[Any], dict[str, Any]]:
    """Everything that a MuData holds as a flat dict of comparable leaves: equal dicts, equal data, bit by bit."""
    return flatten


@pytest.fixture(scope="session")
def written() -> Callable[[dict[str, Any], Any], set[str]]:
    """The paths in a MuData whose contents differ from those taken before, besides the note of what was written."""

    def differ(before: dict[str, Any], mdata: MuData) -> set[str]:
        after = flatten(mdata)
        paths = {path for path in before.keys() | after.keys() if not path.endswith(f"/{RESULT_PATHS}")}
        return {path for path in paths if before.get(path) != after.get(path)}

    return differ


@pytest.fixture(scope="session")
def explained() -> tuple[MuData, Any]:
    """The bundled data with everything that tools write, and a tiny model of its lineages; not to be changed."""
    mdata = scmoe.datasets.bmmc_cite()
    scmoe.pp.prepare(mdata)
    options = {"labels_key": "lineage", "batch_key": "batch", "max_epochs": 2, "train_kwargs": TRAIN, **NETWORK}
    options["n_experts"] = 8  # the default, so that examples can compare another model
    model = scmoe.tl.train(mdata, umap=True, **options)
    other = scmoe.tl.train(mdata, seed=1, key_added="other", **options)
    scmoe.tl.impute(mdata, model, source="rna", target="adt", sd=True)
    scmoe.tl.expert_usage(mdata, model, groupby="lineage")
    scmoe.tl.expert_cards(mdata, model, groupby="lineage", n_permutations=19)
    scmoe.tl.expert_stability(mdata, {"seed 0": model, "seed 1": other}, n_permutations=19)
    scmoe.tl.attention(mdata, model, groupby="lineage", tokens=True)
    scmoe.tl.ablation(mdata, model, groupby="lineage")
    scmoe.tl.attribute(mdata, model, n_steps=2, n_cells=50)
    scmoe.tl.deletion(mdata, model, n_steps=2, n_cells=50)
    scmoe.tl.tcav(mdata, model, markers={"MHC II": ["CD74"]})
    scmoe.tl.gradient_conflict(mdata, model, n_batches=2)
    scmoe.tl.markers(mdata, groupby="lineage")
    return mdata, model
