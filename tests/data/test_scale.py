"""Whether a query is on the scale of the training data, told from the values alone."""

from collections.abc import Callable
from dataclasses import asdict

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import sparse

import scmoe
from scmoe.data._dataset import MosaicDataset
from scmoe.data._setup import Setup
from scmoe.io._quiet import quiet_mudata

Transform = Callable[[np.ndarray], np.ndarray]
N_GENES, N_PROTEINS = 120, 16


def counts(seed: int = 1, n: int = 150, depth: float = 1.0, tissue: int = 0, types: int = 4) -> dict[str, np.ndarray]:
    """Of "rna" and "adt"; types have profiles of their own, and tissues types of their own."""
    rng, profiles = np.random.default_rng(seed), np.random.default_rng(tissue)
    kind = rng.integers(types, size=n)
    genes = np.random.default_rng(50).normal(0, 1, N_GENES) + profiles.normal(0, 1, (4, N_GENES))
    proteins = np.random.default_rng(51).normal(3, 0.5, N_PROTEINS) + profiles.normal(0, 1, (4, N_PROTEINS))
    size = depth * rng.lognormal(0, 0.3, (n, 1))
    return {
        name: rng.poisson(np.exp(rate)[kind] * size).astype(float) for name, rate in (("rna", genes), ("adt", proteins))
    }


def total(x: np.ndarray, size: float) -> np.ndarray:
    return x / np.maximum(x.sum(1, keepdims=True), 1) * size


def logarithms(x: np.ndarray, size: float = 1e4, base: float = np.e) -> np.ndarray:
    return np.log1p(total(x, size)) / np.log(base)


def standardized(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(0)) / np.maximum(x.std(0), 1e-6)


def clr(x: np.ndarray) -> np.ndarray:
    return np.log1p(x) - np.log1p(x).mean(1, keepdims=True)


def same(x: np.ndarray) -> np.ndarray:
    return x


def mudata_of(values: dict[str, np.ndarray], to_sparse: bool = True) -> MuData:
    cells = pd.DataFrame(index=[f"cell{i}" for i in range(len(next(iter(values.values()))))])
    mods = {}
    for name, x in values.items():
        matrix = sparse.csr_matrix(x.astype(np.float32)) if name == "rna" and to_sparse else x.astype(np.float32)
        mods[name] = ad.AnnData(matrix, cells.copy(), pd.DataFrame(index=[f"{name}{i}" for i in range(x.shape[1])]))
    with quiet_mudata():
        return MuData(mods)


def prepared(values: dict[str, np.ndarray], rna: Transform = logarithms, adt: Transform = clr) -> MuData:
    """As by scanpy and muon: no record of it."""
    return mudata_of({"rna": rna(values["rna"]), "adt": adt(values["adt"])})


def train_by_scmoe() -> MuData:
    mdata = mudata_of(counts(seed=0))
    scmoe.pp.prepare(mdata)
    return mdata


TRAINING = {"scmoe": train_by_scmoe, "scanpy": lambda: prepared(counts(seed=0))}


@pytest.fixture(scope="module", params=TRAINING)
def setup(request: pytest.FixtureRequest) -> Setup:
    return Setup.from_mudata(TRAINING[request.param]())


def verdict(query: MuData, setup: Setup) -> str:
    """What becomes of a query, "refused" or "warned"; "" if nothing is said of its scale."""
    try:
        notes = MosaicDataset(query, setup).notes
    except ValueError as error:
        assert "the model learned from" in str(error) and "repare" in str(error)
        return "refused"
    return "warned" if any("taken as they are" not in note for note in notes) else ""


WRONG: dict[str, tuple[Transform, str]] = {
    "raw counts": (same, "refused"),
    "counts per million": (lambda x: total(x, 1e6), "refused"),
    "another total": (lambda x: logarithms(x, 1e6), "warned"),
    "a smaller total": (lambda x: logarithms(x, 1e3), "warned"),
    "base 2": (lambda x: logarithms(x, base=2), "refused"),
    "base 10": (lambda x: logarithms(x, base=10), "refused"),
    "base 2 of counts per million": (lambda x: logarithms(x, 1e6, base=2), "refused"),
    "not normalized": (np.log1p, "warned"),
    "standardized": (lambda x: standardized(logarithms(x)), "refused"),
    "clipped": (lambda x: np.clip(standardized(logarithms(x)), -2, 2), "refused"),
    "centered": (lambda x: logarithms(x) - logarithms(x).mean(0), "warned"),
    "binary": (lambda x: (x > 0).astype(float), "refused"),
    "square roots": (lambda x: np.sqrt(total(x, 1e4)), "refused"),
}


@pytest.mark.parametrize("name", WRONG)
def test_genes_on_another_scale(setup: Setup, name: str) -> None:
    transform, expected = WRONG[name]
    assert verdict(prepared(counts(), rna=transform), setup) == expected
    assert verdict(prepared(counts(n=20), rna=transform), setup)


WRONG_PROTEINS: dict[str, tuple[Transform, str]] = {
    "raw counts": (same, "refused"),
    "binary": (lambda x: (x > 0).astype(float), "refused"),
    "logarithms": (np.log1p, "warned"),
    "normalized as genes": (logarithms, "warned"),
    "divided by geometric means": (lambda x: np.log1p(x / np.exp(np.log1p(x).mean(1, keepdims=True))), "warned"),
    "standardized": (lambda x: standardized(clr(x)), "warned"),
    "centered over cells": (lambda x: np.log1p(x) - np.log1p(x).mean(0), "warned"),
}


@pytest.mark.parametrize("name", WRONG_PROTEINS)
def test_proteins_on_another_scale(setup: Setup, name: str) -> None:
    transform, expected = WRONG_PROTEINS[name]
    assert verdict(prepared(counts(), adt=transform), setup) == expected


def some(mdata: MuData, cells: int | None = None, step: int = 1) -> MuData:
    with quiet_mudata():
        return MuData({name: adata[:cells, ::step].copy() for name, adata in mdata.mod.items()})


@pytest.mark.parametrize("n_cells", [1, 2, 3, 5, 20, None])
@pytest.mark.parametrize("step", [1, 2])
def test_few_cells_and_half_of_the_features_are_no_other_scale(setup: Setup, n_cells: int | None, step: int) -> None:
    assert verdict(some(prepared(counts()), n_cells, step), setup) == ""


@pytest.mark.parametrize(
    "query",
    [{"depth": 0.1}, {"depth": 10.0}, {"tissue": 7}, {"tissue": 8, "depth": 0.2}, {"types": 1}, {"types": 1, "n": 8}],
    ids=str,
)
def test_another_depth_tissue_or_type_is_no_other_scale(setup: Setup, query: dict) -> None:
    assert verdict(prepared(counts(**query)), setup) == ""
    raw = mudata_of(counts(**query))
    scmoe.pp.prepare(raw)
    assert verdict(raw, setup) == ""


def test_half_of_the_features_normalized_by_themselves_are_no_other_scale(setup: Setup) -> None:
    raw = some(mudata_of(counts()), step=2)
    scmoe.pp.prepare(raw)
    assert verdict(raw, setup) == ""


@pytest.mark.parametrize("name", ["another total", "not normalized", "base 2", "standardized", "raw counts"])
@pytest.mark.parametrize("step", [1, 2])
def test_a_choice_of_genes_on_another_scale(name: str, step: int) -> None:
    """Genes that were chosen after their normalization have no common total."""
    setup = Setup.from_mudata(some(prepared(counts(seed=0)), step=3))
    assert verdict(some(prepared(counts(), rna=WRONG[name][0]), step=3 * step), setup)
    assert verdict(some(prepared(counts()), step=3 * step), setup) == ""
    assert verdict(some(prepared(counts(tissue=7)), 5, step=3 * step), setup) == ""


@pytest.mark.parametrize("likelihood", ["nb", "poisson", "bernoulli"])
def test_counts(likelihood: str) -> None:
    setup = Setup.from_mudata(mudata_of(counts(seed=0)), likelihoods={"rna": likelihood, "adt": likelihood})
    for query in (counts(), counts(depth=0.1), counts(depth=10.0), counts(tissue=7), counts(n=1)):
        assert verdict(mudata_of(query), setup) == ""
    assert verdict(prepared(counts(), rna=lambda x: (x > 0).astype(float), adt=same), setup) == "warned"
    for wrong in (logarithms, standardized, lambda x: total(x, 1e4)):
        with pytest.raises(ValueError, match=r"mdata\['rna'\]\.X must hold raw counts"):
            MosaicDataset(prepared(counts(), rna=wrong, adt=same), setup)


def test_peaks_that_are_open_or_closed() -> None:
    def peaks(seed: int) -> dict[str, np.ndarray]:
        return {"atac": (np.random.default_rng(seed).random((60, 90)) < 0.1).astype(float)}

    setup = Setup.from_mudata(mudata_of(peaks(0)), likelihoods={"atac": "bernoulli"})
    assert verdict(mudata_of(peaks(1)), setup) == ""
    assert verdict(mudata_of({"atac": 3 * peaks(1)["atac"]}), setup) == "warned"


def measures(seed: int, n: int = 60) -> np.ndarray:
    """Of ten features with units of their own, some of them never negative."""
    rng = np.random.default_rng(seed)
    return np.hstack([rng.normal(-70, 8, (n, 4)), rng.gamma(3, 50, (n, 3)), rng.normal(0, 0.01, (n, 3))])


OTHER_UNITS = {
    "standardized": standardized,
    "larger": lambda x: x / 1000,
    "smaller": lambda x: x * 1000,
    "constant": lambda x: np.full_like(x, 5),
}


@pytest.mark.parametrize("wrong", OTHER_UNITS.values(), ids=OTHER_UNITS)
def test_measures_in_other_units(wrong: Transform) -> None:
    setup = Setup.from_mudata(mudata_of({"ephys": measures(0)}))
    assert verdict(mudata_of({"ephys": wrong(measures(1))}), setup) == "warned"
    for n in (1, 3, 20, 60):
        assert verdict(mudata_of({"ephys": measures(2, n)}), setup) == ""
    assert verdict(some(mudata_of({"ephys": measures(2)}), step=2), setup) == ""


def test_what_was_standardized_for_the_training_must_be_for_a_query() -> None:
    setup = Setup.from_mudata(prepared(counts(seed=0), rna=lambda x: standardized(logarithms(x))))
    ready = standardized(logarithms(counts()["rna"]))
    for n in (1, 5, 20, 150):
        assert verdict(some(prepared(counts(), rna=lambda _: ready), n), setup) == ""
    assert verdict(prepared(counts()), setup) == "warned"
    assert verdict(prepared(counts(), rna=same), setup) == "refused"


def test_values_that_were_prepared_and_changed_may_be_meant_so() -> None:
    setup, query = Setup.from_mudata(train_by_scmoe()), mudata_of(counts())
    scmoe.pp.prepare(query)
    perturbed = query["rna"].X.toarray()
    perturbed[:, :5] += 3
    query["rna"].X = perturbed
    assert verdict(query, setup) == ""
    query["rna"].X = standardized(perturbed)
    assert verdict(query, setup) == "warned"
    query["rna"].X = query["rna"].layers["counts"]
    assert verdict(query, setup) == "refused"


def test_models_of_older_versions_have_no_scale_but_know_what_was_prepared() -> None:
    setup = Setup.from_mudata(train_by_scmoe())
    older = Setup(**(asdict(setup) | {"scales": {}}))
    assert verdict(prepared(counts()), older) == ""
    assert verdict(prepared(counts(), rna=same), older) == "refused"
    assert verdict(prepared(counts(), adt=same), older) == "refused"
    assert verdict(prepared(counts(), rna=lambda x: logarithms(x, base=2)), older) == "refused"


@pytest.mark.parametrize("cells", [range(1, 600, 2), range(0, 600, 40), range(7)], ids=len)
def test_real_cells(cells: range) -> None:
    mdata = scmoe.datasets.bmmc_cite()
    raw = {name: adata.X.toarray().astype(float) for name, adata in mdata.mod.items()}
    setup = Setup.from_mudata(prepared({name: x[::2] for name, x in raw.items()}))
    query = {name: x[list(cells)] for name, x in raw.items()}
    assert verdict(prepared(query), setup) == ""
    for transform, _ in WRONG.values():
        assert verdict(prepared(query, rna=transform), setup)
