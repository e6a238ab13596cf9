"""Losses of a trained model without one of its modalities."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import stats

from scmoe.io._quiet import quiet_mudata
from scmoe.model._fitted import query
from scmoe.model.explain._ablation import permuted


def without(mdata, name):
    """The cells that have the modality, without it."""
    with quiet_mudata():
        left = MuData({other: mdata[other].copy() for other in mdata.mod if other != name})
    left.obs = mdata.obs.loc[left.obs_names, ["cell_type", "batch"]]
    return left


def standardized(model, mdata, name):
    """Features of the cells in units of the model, and the scale of the loss."""
    values = mdata[name].X
    values = values.toarray() if hasattr(values, "toarray") else values
    values = values[mdata[name].obs_names.get_indexer(mdata.obs_names)]
    v = model.modalities.index(name)
    units = model.module.standardizers[v]
    return (values - units.mean.numpy()) / units.std.numpy(), units, model.module.decoders[v].loss_scale.item()


def test_hidden_modality_is_predicted_from_the_others(paired, trained):
    found = trained.get_ablation(paired)
    z, units, scale = standardized(trained, paired, "adt")
    predicted = (trained.impute("rna", "adt", paired, part="network") - units.mean.numpy()) / units.std.numpy()
    expected = scale * ((z.clip(-10, 10) - predicted) ** 2).mean(1)
    np.testing.assert_allclose(found.loss_hidden[:, 1, 1], expected, rtol=1e-3)


def test_loss_of_features_with_all_modalities(paired, trained):
    found = trained.get_ablation(paired)
    z, units, scale = standardized(trained, paired, "adt")
    decoded = (trained.get_normalized("adt", paired) - units.mean.numpy()) / units.std.numpy()
    expected = scale * ((z.clip(-10, 10) - decoded) ** 2).mean(1)
    for hidden in range(2):
        np.testing.assert_allclose(found.loss[:, hidden, 1], expected, rtol=1e-3)


def test_loss_of_the_label_is_that_of_cells_that_lack_the_modality(paired, trained):
    found = trained.get_ablation(paired)
    own = paired.obs["cell_type"].cat.codes.to_numpy()
    for v, name in enumerate(trained.modalities):
        for cells_of, losses in ((paired, found.loss), (without(paired, name), found.loss_hidden)):
            probability = trained.predict(cells_of, soft=True).loc[paired.obs_names].to_numpy()
            np.testing.assert_allclose(losses[:, v, 2], -np.log(probability[np.arange(120), own]), rtol=1e-3, atol=1e-6)


def test_only_cells_with_the_modality_another_one_and_the_outcome_count(mosaic, trained_mosaic):
    found = trained_mosaic.get_ablation(mosaic, batch_size=50)
    assert found.outcomes == ["rna", "adt", "ephys"]
    present = np.stack([mosaic.obs_names.isin(mosaic[name].obs_names) for name in mosaic.mod], axis=1)
    counts = present[:, :, None] & present[:, None, :] & (present.sum(1) > 1)[:, None, None]
    for losses in (found.loss, found.loss_hidden):
        np.testing.assert_array_equal(np.isfinite(losses), counts)


def test_cells_without_a_known_label_have_no_loss_of_it(paired, trained):
    labels = paired.obs["cell_type"].astype(str).to_numpy()
    labels[:10], labels[10:20] = "Unknown", "never seen"
    paired.obs["cell_type"] = labels
    found = trained.get_ablation(paired)
    assert np.isnan(found.loss[:20, :, 2]).all() and np.isnan(found.loss_hidden[:20, :, 2]).all()
    assert np.isfinite(found.loss[20:]).all() and np.isfinite(found.loss[:20, :, :2]).all()


def test_permuting_equal_rows_changes_nothing(paired, trained):
    paired["adt"].X[:] = paired["adt"].X[:1]
    found = trained.get_ablation(paired, how="permute")
    np.testing.assert_allclose(found.loss_hidden[:, 1], found.loss[:, 1], rtol=1e-6)
    assert np.abs(found.loss_hidden[:, 0] - found.loss[:, 0]).max() > 0.01


def test_permuted_rows_are_those_of_other_cells_of_the_batch(held_out):
    """Each cell has another's row, and no row is lost; the other modality and the data stay as they were."""
    mdata = held_out.adata
    fitted, dataset, cells = query(held_out, mdata, np.arange(5, 90))
    before = dataset._rows.copy()
    altered = permuted(dataset, len(fitted.setup.batches), 1, cells, seed=3)
    assert np.array_equal(dataset._rows, before) and np.array_equal(altered._rows[0], before[0])
    changed = altered._rows[1] != before[1]
    assert np.array_equal(np.flatnonzero(changed), cells)
    batch = mdata.obs["batch"].to_numpy()
    owner = {row: cell for cell, row in enumerate(before[1])}
    donors = [owner[row] for row in altered._rows[1, cells]]
    assert sorted(donors) == cells.tolist() and (batch[donors] == batch[cells]).all()


def test_the_only_cell_of_a_batch_has_nobody_to_exchange_with(paired, trained):
    """It does not count, or it would say that nothing is lost."""
    paired.obs["batch"] = np.where(np.arange(120) == 7, "donor2", "donor1")
    found = trained.get_ablation(paired, how="permute")
    missing = np.isnan(found.loss_hidden).all(axis=(1, 2))
    assert np.flatnonzero(missing).tolist() == [7] and np.isnan(found.loss[7]).all()
    with pytest.raises(ValueError, match="needs two cells of a batch"):
        trained.get_ablation(paired, [7, 8], how="permute")


def test_the_seed_decides_the_permutation(paired, trained):
    first, again, other = (trained.get_ablation(paired, how="permute", seed=seed).loss_hidden for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.fixture(scope="module")
def planted(fit_model):
    """A model with test cells, whose labels modality "a" carries alone; "b" is noise."""
    rng = np.random.default_rng(0)
    label = rng.integers(3, size=400)
    cells = pd.DataFrame(index=[f"cell{i}" for i in range(400)])
    signal = 1.5 * rng.normal(size=(3, 20))[label] + rng.normal(size=(400, 20))
    values = {"a": signal, "b": rng.normal(size=(400, 20))}
    with quiet_mudata():
        mdata = MuData({name: ad.AnnData(x.astype(np.float32), obs=cells.copy()) for name, x in values.items()})
    mdata.obs["kind"] = pd.Categorical(np.array(["x", "y", "z"])[label])
    setup = {"labels_key": "kind"}
    return fit_model(mdata, setup=setup, max_epochs=8, train_size=0.4, validation_size=0.1)


@pytest.mark.parametrize("how", ["hide", "permute"])
def test_only_the_modality_that_carries_the_label_is_missed(planted, how):
    found = planted.get_ablation(indices=planted.test_indices, how=how)
    rise = (found.loss_hidden - found.loss)[:, :, found.outcomes.index("label")]
    error = stats.sem(rise)
    assert rise[:, 0].mean() > 10 * error[0]
    assert rise[:, 1].mean() < 2 * error[1]


def test_without_the_modality_that_carries_it_the_label_is_a_guess(planted):
    loss = planted.get_ablation(indices=planted.test_indices).loss_hidden[:, 0, 2]
    assert loss.mean() == pytest.approx(np.log(3), abs=0.03)


def test_bad_input(paired, single, trained, fit_model):
    with pytest.raises(ValueError, match="how must be one of 'hide', 'permute'; found 'drop'"):
        trained.get_ablation(paired, how="drop")
    with pytest.raises(ValueError, match="none of the 120 cells has two of rna, adt"):
        trained.get_ablation(without(paired, "adt"))
    with pytest.raises(ValueError, match="single modality, 'rna'"):
        fit_model(single).get_ablation(single)
