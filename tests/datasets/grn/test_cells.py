"""Simulated networks as a MuData: what it holds, what can be asked for, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mudata import MuData

from scmoe._matrix import looks_like_counts
from scmoe.datasets._read import read
from scmoe.datasets._write import write
from scmoe.datasets.grn._cells import simulate_grn
from scmoe.pp._prepare import prepare

SMALL = {"n_cells": 80, "n_features": 30}


@pytest.fixture(scope="module")
def linear() -> MuData:
    return simulate_grn(**SMALL)


def test_default_is_the_size_of_the_paper() -> None:
    mdata = simulate_grn("disconnected")
    assert {name: adata.shape for name, adata in mdata.mod.items()} == dict.fromkeys(
        ("dna", "pre", "rna", "protein"), (500, 100)
    )


def test_counts_come_from_the_molecules(linear: MuData) -> None:
    assert linear.var_names.is_unique
    for name, adata in linear.mod.items():
        assert looks_like_counts(adata.X) and looks_like_counts(adata.layers["truth"])
        assert (adata.X.toarray() <= adata.layers["truth"]).all(), name
    assert linear["dna"].layers["truth"].max() == 2
    assert linear.obs["pseudotime"].between(0, 1).all()
    assert linear.obs["batch"].nunique() == 1


def test_prepare_knows_what_each_modality_is(linear: MuData) -> None:
    prepared = prepare(linear, copy=True)
    kinds = {name: str(record["kind"]) for name, record in prepared.uns["scmoe"]["prepare"].items()}
    assert kinds == {"dna": "peaks", "pre": "rna", "rna": "rna", "protein": "protein"}


def test_truth_of_the_network_is_stored_and_survives_a_file(tmp_path: Path) -> None:
    simulated = simulate_grn(**SMALL)
    write(simulated, tmp_path / "grn.h5mu")
    for mdata in (simulated, read(tmp_path / "grn.h5mu")):
        edges, genes = mdata.uns["grn"]["edges"], mdata.uns["grn"]["genes"]
        assert list(edges) == ["regulator", "target", "sign", "strength", "hill", "threshold"]
        assert genes["gene"].tolist() == mdata["rna"].var["gene"].tolist()
        role = genes.set_index("gene")["role"]
        assert set(role[edges["regulator"]]) == {"TF"} and set(edges["sign"]) == {-1, 1}
        assert str(mdata.uns["grn"]["backbone"]) == "linear"


def test_seed_decides_everything(linear: MuData, contents: Callable[[Any], dict[str, Any]]) -> None:
    assert contents(simulate_grn(**SMALL)) == contents(linear)
    other = simulate_grn(**SMALL, seed=1)
    assert (other["rna"].X != linear["rna"].X).nnz


def test_noise_leaves_the_molecules_as_they_are(linear: MuData) -> None:
    exact = simulate_grn(
        **SMALL, capture=dict.fromkeys(linear.mod, 1.0), dropout=dict.fromkeys(linear.mod, 0.0), depth_sd=0.0
    )
    for name, adata in exact.mod.items():
        np.testing.assert_array_equal(adata.X.toarray(), adata.layers["truth"])
        np.testing.assert_array_equal(adata.layers["truth"], linear[name].layers["truth"])


def test_rare_stage_gets_exactly_its_share() -> None:
    mdata = simulate_grn(**SMALL, stage_shares={"C": 0.05, "F": 0.5})
    counts = mdata.obs["stage"].value_counts()
    assert (counts["C"], counts["F"], counts.sum()) == (4, 40, 80)


def test_all_stages_can_be_named() -> None:
    shares = {"A": 0.5, "B": 0.25, "C": 0.125, "D": 0.125}
    counts = simulate_grn("bifurcating", **SMALL, stage_shares=shares).obs["stage"].value_counts()
    assert counts.to_dict() == {stage: 80 * share for stage, share in shares.items()}


def test_missing_cells_are_left_out_of_their_modality(linear: MuData) -> None:
    mdata = simulate_grn(**SMALL, missing={"protein": 0.5, "dna": 0.25})
    assert {name: adata.n_obs for name, adata in mdata.mod.items()} == {"dna": 60, "pre": 80, "rna": 80, "protein": 40}
    assert mdata.obs.loc[linear.obs_names].equals(linear.obs)
    rows = linear["protein"].obs_names.get_indexer(mdata["protein"].obs_names)
    np.testing.assert_array_equal(mdata["protein"].X.toarray(), linear["protein"].X.toarray()[rows])


def test_batches_are_of_equal_size_and_differ() -> None:
    mdata = simulate_grn("cyclic", **SMALL, n_batches=2, batch_sd=1.0)
    assert mdata.obs["batch"].value_counts().to_dict() == {"batch1": 40, "batch2": 40}
    by_batch = [
        (mdata["protein"].X.toarray()[rows].sum(axis=0) + 1) / (mdata["protein"].layers["truth"][rows].sum(axis=0) + 1)
        for rows in ((mdata.obs["batch"] == name).to_numpy() for name in ("batch1", "batch2"))
    ]
    assert np.log(by_batch[0] / by_batch[1]).std() > 0.5


def test_knocked_out_gene_has_no_molecules_and_the_same_network(linear: MuData) -> None:
    mdata = simulate_grn(**SMALL, knock_out="A1_TF1")
    gene = (mdata["rna"].var["gene"] == "A1_TF1").to_numpy()
    for name in ("pre", "rna", "protein"):
        assert not mdata[name].layers["truth"][:, gene].any() and linear[name].layers["truth"][:, gene].any()
    for table in ("edges", "genes"):
        assert mdata.uns["grn"][table].equals(linear.uns["grn"][table])
    assert mdata.uns["grn"]["knock_out"] == "A1_TF1"


def test_several_genes_can_be_knocked_out_together() -> None:
    mdata = simulate_grn(**SMALL, knock_out=["A1_TF1", "B1_TF2"])
    silent = ~mdata["rna"].layers["truth"].any(axis=0)
    assert set(mdata["rna"].var["gene"][silent]) >= {"A1_TF1", "B1_TF2"}
    assert mdata.uns["grn"]["knock_out"] == "A1_TF1+B1_TF2"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "loop"}, "backbone must be one of linear, bifurcating, cyclic, disconnected; found 'loop'"),
        ({"n_cells": 0}, "n_cells must be a whole number of at least 1; found 0"),
        ({"n_cells": 2.5}, "n_cells must be a whole number of at least 1; found 2.5"),
        ({"n_features": 11}, "n_features must be at least 12, since this backbone has 6 modules .* found 11"),
        ({"n_batches": 81}, "n_batches must be at most 80, the number of cells"),
        ({"rates": {"splicing": -1}}, r"rates\['splicing'\] must be a positive number"),
        ({"capture": {"rna": 1.5}}, r"capture\['rna'\] must be a share from 0 to 1; found 1.5"),
        ({"capture": 0.5}, "capture must be a dict or None"),
        ({"dropout": {"atac": 0.5}}, "dropout names 'atac'; choose from dna, pre, rna, protein"),
        ({"depth_sd": -0.1}, "depth_sd must be a number of at least 0; found -0.1"),
        ({"batch_sd": None}, "batch_sd must .* found None"),
        ({"missing": {"rna": -0.1}}, r"missing\['rna'\] must be a share from 0 to 1; found -0.1"),
        ({"missing": {"rna": 1.0}}, "missing leaves no cell with 'rna'"),
        ({"stage_shares": {"Z": 0.1}}, "stage_shares names 'Z'; choose from A, B, C, D, E, F"),
        ({"stage_shares": {"A": 0.7, "B": 0.4}}, "The shares in stage_shares must sum to at most 1; found 1.1"),
        ({"stage_shares": dict.fromkeys("ABCDEF", 0.1)}, "must sum to 1, since it names all stages; found 0.6"),
        ({"backbone": ["linear"]}, "backbone must be text"),
        ({"rates": 3}, "rates must be a dict or None; found 3"),
        (
            {"rates": {"translation": 1e19}},
            "would have .* molecules of a gene; at most 16,777,216 .* Lower transcription",
        ),
        ({"knock_out": "C1"}, "did you mean C1_TF1, C1_TF2"),
        ({"knock_out": "A1TF1"}, "knock_out names the gene 'A1TF1', .* did you mean A1_TF1"),
    ],
)
def test_impossible_requests_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        simulate_grn(**{**SMALL, **arguments})


def test_stage_that_nothing_reaches_is_refused() -> None:
    with pytest.raises(ValueError, match="stage_shares asks for 1 cells of C, but only 0 of 63 simulated cells"):
        simulate_grn("bifurcating", n_cells=3, n_features=20, stage_shares={"C": 0.4}, rates={"transcription": 1e-6})
