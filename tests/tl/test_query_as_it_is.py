"""Queries as people have them: batches unknown or written otherwise, genes under other names."""

import numpy as np
import pytest
from mudata import MuData

import scmoe
from scmoe.io._quiet import quiet_mudata

IDS = [f"ENSG{i:011}" for i in range(60)]


def renamed(mdata: MuData, names: list[str], **columns: list[str]) -> MuData:
    rna = mdata["rna"].copy()
    rna.var_names = names
    for key, values in columns.items():
        rna.var[key] = values
    with quiet_mudata():
        out = MuData({"rna": rna, "adt": mdata["adt"].copy()})
        out.obs = mdata.obs.copy()
    out.uns["scmoe"] = mdata.uns["scmoe"]
    return out


@pytest.fixture(scope="module")
def by_id(fresh, fit_model):
    """A model whose genes are Ensembl identifiers and whose batches are the numbers 1 and 2."""
    mdata = renamed(fresh("paired"), IDS)
    mdata.obs["batch"] = 1 + np.arange(120) % 2
    return mdata, fit_model(mdata, setup={"batch_key": "batch", "labels_key": "cell_type"}, max_epochs=3)


def lines(capsys):
    return capsys.readouterr().err.splitlines()


def test_genes_by_a_column_with_versions_give_the_same_results(by_id, capsys):
    mdata, model = by_id
    query = renamed(mdata, [f"gene{i}" for i in range(60)], gene_ids=[f"{name}.7" for name in IDS])
    assert scmoe.tl.map_query(query, model) is model
    expected = model.get_latent_representation(mdata)
    np.testing.assert_array_equal(query.obsm["X_scmoe"], expected)
    said = lines(capsys)
    assert sum("rna: the model's features are found by the names in var['gene_ids']" in line for line in said) == 1
    assert sum("60 features are the model's but for the version" in line for line in said) == 1
    scmoe.tl.impute(query, model, source="adt", target="rna")
    layer = query["rna"].layers["scmoe_rna_from_adt"]
    np.testing.assert_array_equal(layer, model.impute("adt", "rna", mdata))
    query = renamed(mdata, [f"gene{i}" for i in range(60)], gene_ids=IDS)
    scmoe.tl.attribute(query, model, [IDS[3]], modality="rna", source="adt")


@pytest.mark.parametrize("write", [float, str, "{}.0".format, np.int8], ids=["float", "text", "decimal text", "int8"])
def test_batches_are_the_same_in_every_writing(by_id, write):
    mdata, model = by_id
    query = mdata.copy()
    query.obs["batch"] = [write(n) for n in mdata.obs["batch"]]
    np.testing.assert_array_equal(model.get_latent_representation(query), model.get_latent_representation(mdata))
    scmoe.tl.map_query(query, model)
    assert len(query.uns["scmoe"]["query"]["new_batches"]) == 0


def test_an_absent_batch_is_an_unknown_one_and_is_said_once(by_id, capsys):
    mdata, model = by_id
    absent, new, gaps = mdata.copy(), mdata.copy(), mdata.copy()
    del absent.obs["batch"]
    new.obs["batch"] = "other"
    gaps.obs["batch"] = mdata.obs["batch"].where(np.arange(120) % 3 > 0)
    capsys.readouterr()
    for _ in range(2):
        scmoe.tl.annotate(absent, model)
    assert lines(capsys) == ["scmoe: mdata.obs has no column 'batch': all cells count as of an unknown batch"]
    unknown = model.get_latent_representation(new)
    np.testing.assert_array_equal(model.get_latent_representation(absent), unknown)
    capsys.readouterr()
    found = model.get_latent_representation(gaps)
    np.testing.assert_array_equal(found[::3], unknown[::3])
    known = model.get_latent_representation(mdata)
    np.testing.assert_array_equal(np.delete(found, np.s_[::3], 0), np.delete(known, np.s_[::3], 0))
    assert lines(capsys) == ["scmoe: obs['batch']: 40 of 120 cells have no entry and count as of an unknown batch"]
    with pytest.raises(KeyError, match="batch_key='batch' is not a column of mdata.obs"):
        scmoe.tl.map_query(absent, model, adapt=True)


def test_training_data_must_keep_their_batches(by_id):
    mdata, model = by_id
    again = mdata.copy()
    scmoe.model.SCMOE.setup_mudata(again, batch_key="batch")
    other = scmoe.model.SCMOE(again, n_hidden=16, n_heads=2, n_programs=8)
    del again.obs["batch"]
    with pytest.raises(KeyError, match="batch_key='batch' is not a column of mdata.obs"):
        other.train(1, enable_progress_bar=False)


def test_a_batch_in_the_table_of_a_modality_is_told_and_the_hint_works(by_id, capsys):
    mdata, model = by_id
    query = mdata.copy()
    query["rna"].obs["batch"] = mdata.obs["batch"]
    del query.obs["batch"]
    capsys.readouterr()
    model.get_latent_representation(query)
    [line] = lines(capsys)
    hint = line.split("has it: ")[1].rstrip(".")
    exec(hint, {"mdata": query})
    np.testing.assert_array_equal(model.get_latent_representation(query), model.get_latent_representation(mdata))
    assert lines(capsys) == []


def test_predictions_for_a_batch_take_a_number(by_id):
    mdata, model = by_id
    one = model.impute("rna", "adt", mdata, transform_batch="1")
    np.testing.assert_array_equal(model.impute("rna", "adt", mdata, transform_batch=1), one)
    np.testing.assert_array_equal(model.impute("rna", "adt", mdata, transform_batch=[1.0]), one)
    with pytest.raises(KeyError, match="no batch '3'; it has 1, 2"):
        model.impute("rna", "adt", mdata, transform_batch=3)


def test_concepts_of_a_query_without_batches(by_id):
    mdata, model = by_id
    query = renamed(mdata, [f"gene{i}" for i in range(60)], gene_ids=IDS)
    del query.obs["batch"]
    settings = {"n_random": 2, "n_permutations": 99, "n_matched": 99}
    scmoe.tl.tcav(query, model, targets=["B"], modalities=False, gene_sets={"set": IDS[::3]}, **settings)
    assert "set" in set(query.uns["scmoe"]["tcav"]["concept"])
