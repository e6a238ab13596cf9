"""What training takes from the data: covariates end to end, and the split of the cells."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from mudata import MuData

import scmoe
from scmoe.benchmark._scores import knn_mixing
from scmoe.io._quiet import quiet_mudata

N, TYPES, SIZES = 300, 3, {"rna": 40, "adt": 12}


def simulate() -> MuData:
    """Two modalities of cells of three kinds; site and age add a pattern of their own to both."""
    rng = np.random.default_rng(0)
    kind, site, age = rng.integers(TYPES, size=N), rng.integers(2, size=N), rng.uniform(20, 80, size=N)
    obs, parts = pd.DataFrame(index=[f"cell{i}" for i in range(N)]), {}
    for name, size in SIZES.items():
        kinds, sites, ages = (rng.normal(size=(n, size)) for n in (TYPES, 2, 1))
        x = 2 * kinds[kind] + 0.7 * sites[site] + 0.7 * ((age - 50) / 17)[:, None] * ages + rng.normal(size=(N, size))
        parts[name] = ad.AnnData(
            x.astype(np.float32), obs=obs, var=pd.DataFrame(index=[f"{name}{j}" for j in range(size)])
        )
    with quiet_mudata():
        mdata = MuData(parts)
    mdata.obs["kind"], mdata.obs["site"], mdata.obs["age"] = kind.astype(str), site.astype(str), age
    return mdata


SETUPS = {
    "none": {},
    "batch": {"batch_key": "site"},
    "category": {"categorical_covariate_keys": ["site"]},
    "both": {"batch_key": "site", "continuous_covariate_keys": ["age"]},
}


@pytest.fixture(scope="module")
def models(fit_model):
    """A model of the same data with each of the setups."""
    settings = {"max_epochs": 6, "plan_kwargs": {"lr": 1e-2}}
    return {name: fit_model(simulate(), setup=setup, **settings) for name, setup in SETUPS.items()}


def age_within_kinds(model):
    """Share of the variance of the embedding within the kinds of cells that goes with age."""
    joint, obs = model.get_latent_representation(), model.adata.obs
    kinds = pd.get_dummies(obs["kind"]).to_numpy(float)
    age = ((obs["age"] - 50) / 17).to_numpy()[:, None]
    within = joint - kinds @ np.linalg.lstsq(kinds, joint, rcond=None)[0]
    explained = age @ np.linalg.lstsq(age, within, rcond=None)[0]
    return np.square(explained).sum() / np.square(within).sum()


@pytest.mark.parametrize("setup", ["batch", "category", "both"])
def test_sites_mix_in_the_embedding_where_they_are_covariates(models, setup):
    mixing = {
        name: knn_mixing(models[name].get_latent_representation(), models[name].adata.obs["site"]) for name in SETUPS
    }
    assert mixing["none"] < 0.6 and mixing[setup] > 0.85


def test_a_number_leaves_the_embedding_where_it_is_a_covariate(models):
    assert age_within_kinds(models["both"]) < 0.3 * age_within_kinds(models["batch"])


@pytest.mark.parametrize("setup", SETUPS)
def test_kinds_of_cells_stay_apart(models, setup):
    joint, kind = models[setup].get_latent_representation(), models[setup].adata.obs["kind"].to_numpy()
    centers = np.stack([joint[kind == k].mean(0) for k in "012"])
    assert (np.square(joint[:, None] - centers).sum(2).argmin(1) == kind.astype(int)).mean() > 0.97


@pytest.mark.parametrize("setup", ["batch", "both"])
def test_decoded_for_one_site_all_cells_have_its_effect(models, setup):
    """Where all cells are decoded as of one site, the sites' means of a kind are alike."""
    model, obs = models[setup], models[setup].adata.obs

    def gap(**arguments):
        values = pd.DataFrame(model.get_normalized("adt", **arguments), index=obs.index)
        means = values.groupby([obs["site"], obs["kind"]]).mean()
        return np.linalg.norm(means.loc["0"] - means.loc["1"])

    assert gap(transform_batch="0") < 0.5 * gap() and gap(transform_batch=["0", "1"]) < 0.5 * gap()


def test_cells_of_an_unknown_site_are_embedded_between_the_known_ones(models):
    query = simulate()
    query.obs["site"] = "9"
    found = models["batch"].get_latent_representation(query)
    assert np.isfinite(found).all()
    kind, known = query.obs["kind"].to_numpy(), models["batch"].get_latent_representation()
    centers = np.stack([known[kind == k].mean(0) for k in "012"])
    assert (np.square(found[:, None] - centers).sum(2).argmin(1) == kind.astype(int)).mean() > 0.95


def test_cells_are_split_in_three(fit_model, tmp_path):
    model = fit_model(simulate(), train_size=0.6, validation_size=0.3, max_epochs=1)
    parts = model.train_indices, model.validation_indices, model.test_indices
    assert [len(part) for part in parts] == [180, 90, 30]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(N))
    model.train(1, train_size=0.1, enable_progress_bar=False)
    for before, after in zip(parts, (model.train_indices, model.validation_indices, model.test_indices), strict=True):
        np.testing.assert_array_equal(before, after)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(type(model).load(tmp_path / "model").test_indices, parts[2])


@pytest.mark.parametrize("size", [60, 250, N])
def test_an_odd_number_of_cells_does_not_matter(fit_model, size):
    with quiet_mudata():
        mdata = simulate()[:size].copy()
    model = fit_model(mdata, setup=SETUPS["both"], max_epochs=1)
    assert all(np.isfinite(model.get_latent_representation(batch_size=b)).all() for b in (7, size))


def oversampled(mdata):
    """Ten cells of the first type, copied until there are as many as of the largest."""
    kinds = mdata.obs["cell_type"].astype(str)
    few = np.flatnonzero(kinds == "B")[10:]
    rows = np.setdiff1d(np.arange(mdata.n_obs), few)
    with quiet_mudata():
        return scmoe.pp.oversample(mdata[rows].copy(), "cell_type")


def test_copies_in_another_part_than_their_cell_are_refused(paired, fit_model):
    with pytest.raises(
        ValueError, match=r"come from 'cell\d+' \(obs\['copy_of'\]\) are in different parts.*train_size=1"
    ):
        fit_model(oversampled(paired), setup={"labels_key": "cell_type"}, train_size=0.8)


def test_copies_in_the_part_of_their_cell_are_trained_on(paired, fit_model):
    assert fit_model(oversampled(paired), train_size=1.0).is_trained
    paired.obs["copy_of"] = paired.obs_names  # nothing was copied
    assert fit_model(paired, train_size=0.8).is_trained


def test_mixed_cells_in_another_part_than_either_parent_are_refused(paired, fit_model):
    train = fit_model(paired, train_size=0.8).train_indices_
    names = paired.obs_names.to_numpy()
    paired.obs["copy_of"] = names
    mixed = names.copy()
    mixed[train[0]] = names[np.setdiff1d(np.arange(paired.n_obs), train)[0]]
    paired.obs["mixed_with"] = mixed
    with pytest.raises(ValueError, match=r"come from 'cell\d+' \(obs\['mixed_with'\]\) are in different parts"):
        fit_model(paired, train_size=0.8)


TEXT = [object, "str", "string", "category"]


@pytest.mark.parametrize("dtype", TEXT)
def test_copies_are_known_in_every_kind_of_text(paired, fit_model, dtype):
    copies = oversampled(paired)
    copies.obs["copy_of"] = copies.obs["copy_of"].astype(dtype)
    with pytest.raises(ValueError, match="are in different parts"):
        fit_model(copies, setup={"labels_key": "cell_type"}, train_size=0.8)


@pytest.mark.parametrize("dtype", TEXT)
def test_learning_from_test_cells_is_said(paired, fit_model, capsys, dtype):
    scmoe.pp.split(paired, labels_key="cell_type", key_added="part")
    paired.obs["part"] = paired.obs["part"].astype(dtype)
    fit_model(paired, train_size=1.0)
    n = int((paired.obs["part"] != "train").sum())
    assert (
        f"obs['part'] is not used, and sets {n} of the 120 cells apart that are learned from now"
        in capsys.readouterr().err
    )
    with quiet_mudata():
        alone = paired[paired.obs["part"] == "train"].copy()
    fit_model(alone, train_size=1.0)
    assert "apart" not in capsys.readouterr().err


def test_balance_without_labels_is_refused(paired, fit_model):
    with pytest.raises(ValueError, match="class_balance='focal' is for labels"):
        fit_model(paired, class_balance="focal")


@pytest.mark.parametrize("model", ["SCMOE", "XTRIMOGENE"])
def test_a_folder_for_checkpoints_is_tried_before_the_training(single, genes, tiny, tiny_genes, tmp_path, model):
    (tmp_path / "file").write_text("mine")
    if model == "SCMOE":
        scmoe.model.SCMOE.setup_mudata(single)
        untrained = scmoe.model.SCMOE(single, **tiny)
    else:
        untrained = tiny_genes(genes)
    before = {name: value.clone() for name, value in untrained.module.state_dict().items()}
    with pytest.raises(OSError, match="Cannot write to .*checkpoints"):
        untrained.train(1, checkpoint_dir=tmp_path / "file" / "checkpoints")
    assert all(torch.equal(value, before[name]) for name, value in untrained.module.state_dict().items())
