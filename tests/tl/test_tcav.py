"""TCAV from data to table, on cells in which it is known what the labels depend on."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData, read_h5mu

import scmoe
from scmoe.datasets._write import write
from scmoe.io._quiet import quiet_mudata
from scmoe.tl._tcav import concept_mask

N_CELLS, N_GENES = 1200, 400
PATHWAY = [f"gene{i}" for i in range(12)]
ARGUMENTS = {"n_random": 10, "n_permutations": 499, "n_matched": 499}


@pytest.fixture(scope="module")
def driven(fit_model):
    """Cells with two independent programs of genes: the first makes a cell an A, else the second a B; proteins are
    noise."""
    rng = np.random.default_rng(0)
    program = rng.normal(size=(N_CELLS, 2))
    rate = np.tile(rng.uniform(0.3, 3, N_GENES), (N_CELLS, 1))
    rate[:, :12] *= np.exp(0.7 * program[:, :1] - 0.7**2 / 2)
    rate[:, 12:24] *= np.exp(0.7 * program[:, 1:] - 0.7**2 / 2)
    cells = pd.DataFrame(index=[f"cell{i}" for i in range(N_CELLS)])
    rna = ad.AnnData(rng.poisson(rate).astype(np.float32), obs=cells)
    adt = ad.AnnData(rng.poisson(5, (N_CELLS, 20)).astype(np.float32), obs=cells)
    rna.var_names = [f"gene{i}" for i in range(N_GENES)]
    adt.var_names = [f"protein{i}" for i in range(20)]
    with quiet_mudata():
        mdata = MuData({"rna": rna, "adt": adt})
    mdata.obs["label"] = np.select([program[:, 0] > 0.5, program[:, 1] > 0], ["A", "B"], "C")
    mdata.obs["chance"] = rng.random(N_CELLS) < 0.3
    scmoe.pp.prepare(mdata, kinds={"adt": "protein"})
    return mdata, fit_model(mdata, setup={"labels_key": "label"}, max_epochs=10)


@pytest.fixture(scope="module")
def table(driven):
    mdata, model = driven
    genes = {"pathway": PATHWAY, "others": [f"gene{i}" for i in range(100, 112)]}
    markers = {f"{name} cells": of for name, of in genes.items()}
    scmoe.tl.tcav(
        mdata,
        model,
        gene_sets=genes,
        markers=markers,
        cells={"chance": "chance"},
        **ARGUMENTS | {"n_permutations": 999, "n_matched": 999},
    )
    return mdata.uns["scmoe"]["tcav"].set_index(["target", "concept"])


@pytest.mark.parametrize("concept", ["pathway", "pathway cells"])
def test_finds_the_genes_that_drive_a_class(table, concept):
    row = table.loc[("A", concept)]
    assert row["significant"] and row["score"] > 0.9


@pytest.mark.parametrize("concept", ["others", "others cells"])
def test_genes_that_drive_nothing_are_not_found(table, concept):
    assert not table.xs(concept, level="concept")["significant"].any()


def test_finds_the_modality_that_carries_the_label(table):
    rna, adt = table.loc[("A", "rna")], table.loc[("A", "adt")]
    assert rna["significant"] and rna["score"] > 0.9 and adt["score"] < 0.1


def test_random_cells_are_not_found(table):
    assert not table.xs("chance", level="concept")["significant"].any()


def test_table_says_what_was_done(table):
    kinds = table.reset_index().drop_duplicates("concept").set_index("concept")["kind"].to_dict()
    assert kinds == {
        "rna": "modality",
        "adt": "modality",
        "pathway": "gene set",
        "others": "gene set",
        "pathway cells": "markers",
        "others cells": "markers",
        "chance": "cells",
        "depth of rna": "control",
    }
    assert set(table["layer"]) == {"input"}
    assert (table["n_random"] == np.where(table["kind"] == "gene set", 999, 10)).all()
    assert table["p_matched"].notna().tolist() == (table["kind"] == "markers").tolist()
    assert table["control_cosine"].isna().tolist() == (table["kind"] == "control").tolist()
    assert (table["p_adjusted"] >= table["p"]).all()


def test_same_seed_same_table(driven):
    mdata, model = driven
    for key in ("a", "b"):
        scmoe.tl.tcav(mdata, model, targets="A", layer=["input", "tokens"], key_added=key, **ARGUMENTS)
    first, again = (mdata.uns[key]["tcav"] for key in "ab")
    pd.testing.assert_frame_equal(first, again)
    assert set(first["layer"]) == {"input", "tokens"}


def test_writes_one_table_that_files_can_hold(paired, trained, contents, written, tmp_path):
    before = contents(paired)
    scmoe.tl.tcav(paired, trained, targets=["B"], modalities=False, gene_sets={"a": ["gene0", "gene3"]}, **ARGUMENTS)
    assert written(before, paired) == {"uns/scmoe/tcav"}
    write(paired, tmp_path / "a.h5mu")
    with quiet_mudata():
        stored = read_h5mu(tmp_path / "a.h5mu").uns["scmoe"]["tcav"]
    pd.testing.assert_frame_equal(stored, paired.uns["scmoe"]["tcav"], check_dtype=False, check_index_type=False)


def test_batches_are_controls(paired, trained):
    scmoe.tl.tcav(paired, trained, targets=["B"], modalities=False, gene_sets={"a": ["gene0", "gene3"]}, **ARGUMENTS)
    controls = paired.uns["scmoe"]["tcav"].query("kind == 'control'")["concept"]
    assert controls.str.split().str[0].tolist() == ["depth", "batch"]


def test_missing_rates_and_groups_of_another_column(driven):
    mdata, model = driven
    mdata.obs["side"] = np.where(mdata.obs["label"] == "A", "left", "right")
    scmoe.tl.tcav(mdata, model, groupby="side", targets=["left"], modalities=False, missing_rate="rna", **ARGUMENTS)
    table = mdata.uns["scmoe"]["tcav"]
    assert set(table["target"]) == {"left"} and (table["kind"] == "missing rate").sum() >= 2


def test_of_a_target_of_two_cells_what_can_be_said(driven, fit_model):
    mdata = driven[0].copy()
    mdata.obs["rare"] = np.where(np.arange(N_CELLS) < 2, "two cells", mdata.obs["label"])
    model = fit_model(mdata, setup={"labels_key": "rare"}, train_size=1.0)
    kwargs = {"targets": ["two cells", "A"], **ARGUMENTS}
    scmoe.tl.tcav(mdata, model, gene_sets={"a": PATHWAY}, **kwargs)
    table = mdata.uns["scmoe"]["tcav"].set_index(["target", "kind"])
    assert set(table.loc["two cells"].index) == {"gene set", "control"}
    assert set(table.loc["A"].index) == {"gene set", "control", "modality"}
    row = table.loc[[("two cells", "gene set")]].iloc[0]
    assert row["n_cells"] == 2 and row["p"] == 1 and "too few for a p-value; derivatives" in row["note"]
    with pytest.raises(ValueError, match=r"at least 30; found two cells \(2\). Pass gene_sets="):
        scmoe.tl.tcav(mdata, model, **kwargs)


def test_only_a_part_of_many_cells_is_used(driven, monkeypatch):
    mdata, model = driven
    monkeypatch.setattr("scmoe.tl._tcav.MAX_CELLS", 300)
    scmoe.tl.tcav(mdata, model, targets="A", cells={"chance": mdata.obs["chance"]}, **ARGUMENTS)
    assert mdata.uns["scmoe"]["tcav"]["n_cells"].max() < 150


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"targets": ["Aa"]}, ValueError, "Aa"),
        ({"groupby": "type"}, KeyError, "'type' is not a column"),
        ({"layer": "token"}, ValueError, "no layer 'token'.*'tokens'"),
        ({"gene_sets": {"a": ["gene1000"]}}, ValueError, "lacks 1 of the 1 genes.*gene100"),
        ({"gene_sets": {"rna": ["gene1"]}}, ValueError, "Two concepts are called 'rna'"),
        (
            {"gene_sets": {"a": pd.Series(["gene1", np.nan])}},
            TypeError,
            r"gene_sets\['a'\]\[1\] must be text; found nan.*dropna",
        ),
        ({"cells": {"a": ["cell1", "cell2"]}}, ValueError, "found .* of the shape .*obs_names.isin"),
        ({"cells": {"a": "chances"}}, KeyError, "'chances'.*'chance'"),
        (
            {"cells": {"a": np.ones(3, dtype=bool)}},
            ValueError,
            "each of the 1200 cells; found bool of the shape \\(3,\\)",
        ),
        ({"cells": {"a": "label"}}, ValueError, "must say True or False"),
        ({"cells": {"a": np.arange(N_CELLS) < 7}}, ValueError, "Concept 'a' needs at least 30 cells.*found 7"),
        ({"modalities": False}, ValueError, "no concept to test"),
        ({"n_permutations": 99}, ValueError, "With 9 tests.*none can be significant after 99"),
        (
            {"gene_sets": {"a": ["gene1"]}, "n_matched": 99},
            ValueError,
            "With 12 tests.*no gene set can be significant beside 99",
        ),
        ({"missing_rate": "atac"}, ValueError, "no modality of the model"),
        ({"correction": "none"}, ValueError, "'holm', 'bonferroni'"),
    ],
)
def test_bad_arguments(driven, arguments, error, match):
    mdata, model = driven
    with pytest.raises(error, match=match):
        scmoe.tl.tcav(mdata, model, **{**ARGUMENTS, **arguments})


def test_a_model_without_labels_says_what_to_do(mosaic, trained_mosaic):
    with pytest.raises(ValueError, match="groupby"):
        scmoe.tl.tcav(mosaic, trained_mosaic)


def test_labels_that_the_data_lack(paired, trained):
    del paired.obs["cell_type"]
    with pytest.raises(ValueError, match="labels"):
        scmoe.tl.tcav(paired, trained)


def test_no_target_with_enough_cells(paired, trained):
    with quiet_mudata():
        few = paired[:60].copy()
    with pytest.raises(ValueError, match="No group has 30 cells"):
        scmoe.tl.tcav(few, trained)


def test_cells_of_a_concept_are_matched_by_name(raw):
    mask = raw.obs["batch"] == "donor1"
    more = pd.concat([pd.Series([True], index=["another"]), mask.sample(frac=1, random_state=0)])
    for same in (mask, more, mask.to_numpy(), mask.reset_index(drop=True), mask.astype("boolean"), mask.tolist()):
        np.testing.assert_array_equal(concept_mask(raw, "a", same), mask)
    with pytest.raises(ValueError, match=r"cells\['a'\] must have an entry .* it lacks 2, the first is 'cell0'"):
        concept_mask(raw, "a", mask.iloc[2:])
