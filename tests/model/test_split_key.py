"""Training on the parts that a column names."""

import numpy as np
import pytest

import scmoe
from scmoe.model import SCMOE, XTRIMOGENE
from scmoe.tl._tables import knows_split

PARTS = ("train", "validation", "test")


@pytest.fixture
def divided(paired):
    paired.obs["donor"] = np.arange(paired.n_obs) // 12
    scmoe.pp.split(paired, group_key="donor")
    return paired


def parts_in(model):
    return model.train_indices, model.validation_indices, model.test_indices


def expected(data, key="split"):
    return [np.flatnonzero(data.obs[key] == part).tolist() for part in PARTS]


def test_the_cells_of_a_column_are_used_as_they_are(divided, tl_train, capsys, tmp_path):
    model = tl_train(divided, labels_key="cell_type", split_key="split")
    assert [part.tolist() for part in parts_in(model)] == expected(divided)
    assert "is not used" not in capsys.readouterr().err
    assert divided.uns["scmoe"]["params"]["split_key"] == "split" and knows_split(model, divided)
    assert divided.uns["scmoe"]["split"] == {"split": {"group_key": "donor"}}  # the results are under the same name
    model.save(tmp_path / "model")
    model.train(1, enable_progress_bar=False)
    for again in (model, SCMOE.load(tmp_path / "model")):
        assert [part.tolist() for part in parts_in(again)] == expected(divided)


def test_test_cells_do_not_change_the_model(divided, fit_model):
    models = []
    for factor in (1, 3):
        cells = divided.copy()
        test = cells.obs_names[cells.obs["split"] == "test"]
        for adata in cells.mod.values():
            rows = adata.obs_names.isin(test)
            block = adata.X[rows]
            adata.X[rows] = block * factor
        models.append(fit_model(cells, split_key="split"))
    one, other = (model.get_latent_representation(divided) for model in models)
    np.testing.assert_array_equal(one, other)


def test_a_split_that_is_not_used_is_said(divided, fit_model, capsys):
    model = fit_model(divided)
    n = int((divided.obs["split"].iloc[model.train_indices] != "train").sum())
    said = [line for line in capsys.readouterr().err.splitlines() if "obs['split']" in line]
    assert len(said) == 1 and f"is not used, and sets {n} of the" in said[0] and "Pass split_key='split'" in said[0]


def test_another_split_is_not_advised_where_one_is_named(divided, fit_model, capsys):
    scmoe.pp.split(divided, seed=1, key_added="other")
    model = fit_model(divided, split_key="split")
    assert (divided.obs["other"].iloc[model.train_indices] != "train").any()
    assert "is not used" not in capsys.readouterr().err


@pytest.mark.parametrize("sizes", [{"train_size": 0.9}, {"validation_size": 0.1}])
def test_shares_and_a_column_contradict_each_other(divided, fit_model, sizes):
    with pytest.raises(ValueError, match="split_key='split' says which cells are for what; leave train_size"):
        fit_model(divided, split_key="split", **sizes)


def test_early_stopping_needs_validation_cells(divided, fit_model):
    divided.obs["two"] = divided.obs["split"].astype(str).replace("validation", "test")
    with pytest.raises(ValueError, match="needs validation cells.*name a split_key"):
        fit_model(divided, split_key="two", early_stopping=True)
    assert len(fit_model(divided, split_key="two").validation_indices) == 0


def test_a_trained_model_keeps_its_split(divided, fit_model):
    model = fit_model(divided)
    with pytest.raises(ValueError, match=r"trained with another split than obs\['split'\]"):
        model.train(1, split_key="split", enable_progress_bar=False)


def test_a_checkpoint_of_another_split_is_not_gone_on_from(divided, fit_model, tmp_path):
    full = fit_model(divided, split_key="split", checkpoint_dir=tmp_path)
    resumed = fit_model(divided, split_key="split", checkpoint_dir=tmp_path, resume=True)
    assert resumed.history.index.tolist() == full.history.index.tolist() == [0, 1]
    divided.obs["other"] = divided.obs["split"].astype(str).replace({"train": "test", "test": "train"})
    with pytest.raises(ValueError, match="data"):
        fit_model(divided, split_key="other", checkpoint_dir=tmp_path, resume=True)


def test_the_gene_model_uses_the_column_too(genes, fit_genes, capsys):
    scmoe.pp.split(genes)
    model = fit_genes(genes, split_key="split")
    assert [part.tolist() for part in parts_in(model)] == expected(genes)
    assert "is not used" not in capsys.readouterr().err
    fit_genes(genes)
    assert "obs['split'] is not used" in capsys.readouterr().err
    with pytest.raises(KeyError, match="split_key='part' is not a column of adata.obs"):
        fit_genes(genes, split_key="part")
    model = scmoe.tl.pretrain(
        genes,
        split_key="split",
        max_epochs=1,
        train_kwargs={"accelerator": "cpu", "enable_progress_bar": False},
        **{"encoder_layers": 1, "encoder_heads": 2, "encoder_width": 16, "decoder_heads": 2, "decoder_width": 8},
    )
    assert isinstance(model, XTRIMOGENE) and model.test_indices.tolist() == expected(genes)[2]
