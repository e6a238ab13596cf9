"""What is read out of a trained network, from which cells, and what is done where these lack something."""

import numpy as np
import pytest
from mudata import MuData

import scmoe.model._fit_readouts as fitting
from scmoe.io._quiet import quiet_mudata
from scmoe.model import SCMOE, _subset_passes


def never_together(fresh) -> MuData:
    """No cell has both RNA and proteins; "ephys" is in most cells of both kinds."""
    mdata = fresh("mosaic")
    names, i = mdata.obs_names, np.arange(120)
    parts = {"rna": names[i % 3 == 1], "adt": names[i % 3 != 1], "ephys": names}
    with quiet_mudata():
        out = MuData({m: mdata[m][mdata[m].obs_names.isin(cells)].copy() for m, cells in parts.items()})
    out.obs[["cell_type", "batch"]] = mdata.obs[["cell_type", "batch"]].loc[out.obs_names]
    return out


@pytest.fixture(scope="module")
def apart(fresh, fit_model):
    """A model of cells of which none has RNA and proteins, and only those with RNA have labels."""
    mdata = never_together(fresh)
    has_rna = mdata.obs_names.isin(mdata["rna"].obs_names)
    mdata.obs["known"] = np.where(has_rna, mdata.obs["cell_type"].astype(str), "Unknown")
    return fit_model(mdata, setup={"labels_key": "known"}, max_epochs=4)


def test_a_direction_that_no_cell_shows_is_refused(apart):
    with pytest.raises(ValueError, match="No training cell had 'adt' together with rna"):
        apart.impute("rna", "adt")


def test_a_direction_that_some_cells_show_has_intervals(apart):
    mean, sd = apart.impute(["rna", "ephys"], "adt", return_sd=True)
    ephys = apart.adata.obs_names.isin(apart.adata["ephys"].obs_names)
    assert (sd[ephys] > 0).all() and np.isfinite(mean[ephys]).all()


def test_cells_whose_modalities_no_labeled_cell_has_are_labeled(apart, tmp_path):
    assert (0,) in apart.readouts.annotators and (1,) not in apart.readouts.annotators
    soft = apart.predict(soft=True)
    assert np.isfinite(soft.to_numpy()).all()
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-5)
    apart.save(tmp_path / "model")
    np.testing.assert_array_equal(SCMOE.load(tmp_path / "model").predict(apart.adata, soft=True), soft)


@pytest.fixture(scope="module")
def seen(fresh):
    """Data whose test cells can be changed, and the settings of a model of them."""
    settings = {"setup": {"labels_key": "cell_type", "batch_key": "batch"}, "train_size": 0.6, "validation_size": 0.2}
    return fresh("paired"), settings


def answers(model, mdata, cells):
    return [
        model.get_latent_representation(mdata, cells, labeled=True),
        *model.impute("rna", "adt", mdata, cells, return_sd=True),
        model.get_mapping_score(mdata, cells),
    ]


def test_test_cells_are_not_looked_at(fresh, fit_model, seen):
    mdata, settings = seen
    first = fit_model(mdata, **settings)
    changed, test = fresh("paired"), first.test_indices
    assert len(test) == 24
    for name in changed.mod:
        values = changed[name].X if name == "adt" else changed[name].X.toarray()
        values[changed[name].obs_names.isin(changed.obs_names[test])] += 2.5
        changed[name].X = values
    changed.obs.iloc[test, changed.obs.columns.get_loc("cell_type")] = "B"
    second = fit_model(changed, **settings)
    for a, b in zip(answers(first, None, first.train_indices), answers(second, None, first.train_indices), strict=True):
        np.testing.assert_array_equal(a, b)


def test_labels_change_annotators_and_novelties_alone(fresh, fit_model):
    permuted = fresh("paired")
    permuted.obs["cell_type"] = np.random.default_rng(0).permutation(permuted.obs["cell_type"])
    first, second = (fit_model(m, setup={"labels_key": "cell_type"}) for m in (fresh("paired"), permuted))
    a, b = first.readouts.to_arrays(), second.readouts.to_arrays()
    assert a.keys() == b.keys()
    differ = {name.split("/")[0] for name in a if not np.array_equal(a[name], b[name], equal_nan=True)}
    assert differ == {"annotators", "novelties", "label_scale"}


def test_many_cells_are_read_out_from_a_subset(paired, fit_model, monkeypatch):
    monkeypatch.setattr(_subset_passes, "MAX_CELLS", 40)
    monkeypatch.setattr(fitting, "SPREAD_ENTRIES", 1)
    model = fit_model(paired, setup={"labels_key": "cell_type"}, train_size=0.5)
    mean, sd = model.impute("rna", "adt", return_sd=True)
    assert np.isfinite(mean).all() and (sd > 0).all()
    assert (model.predict() == paired.obs["cell_type"]).mean() > 0.9


def test_too_few_complete_cells_leave_the_joint_state(paired, fit_model):
    names, i = paired.obs_names, np.arange(120)
    with quiet_mudata():
        few = MuData({"rna": paired["rna"][names[i < 66]].copy(), "adt": paired["adt"][names[i >= 54]].copy()})
    model = fit_model(few)
    assert not model.readouts.embeddings
    found = model.get_latent_representation()
    np.testing.assert_array_equal(found, model.get_latent_representation(part="network"))
    assert np.isfinite(found).all()


@pytest.mark.parametrize("likelihood", ["nb", "poisson", "bernoulli"])
def test_errors_of_counts_are_in_the_units_of_the_prediction(paired, fit_model, likelihood):
    model = fit_model(paired, setup={"likelihoods": {"rna": likelihood}}, max_epochs=4)
    dataset = model._dataset(None)
    cells = np.arange(20)
    counts = paired["rna"].layers["counts"].toarray()[paired["rna"].obs_names.get_indexer(paired.obs_names[cells])]
    library = np.median(paired["rna"].layers["counts"].toarray().sum(1))
    expected = counts > 0 if likelihood == "bernoulli" else counts / counts.sum(1, keepdims=True) * library
    found = fitting.observed_values(model.fitted, dataset, cells, 0)
    np.testing.assert_allclose(found, expected, rtol=0.05)


def test_missing_values_have_no_error(mosaic, trained_mosaic):
    dataset = trained_mosaic._dataset(mosaic)
    cells = np.flatnonzero(dataset.present[:, 2])
    found = fitting.observed_values(trained_mosaic.fitted, dataset, cells, 2)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(mosaic["ephys"][mosaic.obs_names[cells]].X))


def test_rare_labels_are_learned_from_whatever_the_number_of_cells(fresh, fit_model, monkeypatch):
    mdata = fresh("paired")
    labels = mdata.obs["cell_type"].astype(str)
    labels.iloc[[7, 60, 110]] = "rare"
    mdata.obs["kind"] = labels
    monkeypatch.setattr(_subset_passes, "MAX_CELLS", 40)
    monkeypatch.setattr(_subset_passes, "OF_EACH_LABEL", 5)
    model = fit_model(mdata, setup={"labels_key": "kind"}, train_size=1.0)
    annotator = model.readouts.annotators[0, 1]
    assert annotator.present.all() and len(annotator.truth) == 40
    assert (annotator.truth == model.setup.labels.index("rare")).sum() == 3


def test_labels_that_no_training_cell_has_are_named(fresh, fit_model, capsys):
    mdata = fresh("paired")
    test = fit_model(mdata, train_size=0.7, validation_size=0.1, max_epochs=1).test_indices_
    labels = mdata.obs["cell_type"].astype(str)
    labels.iloc[test[:2]] = "late"
    mdata.obs["kind"] = labels
    model = fit_model(mdata, setup={"labels_key": "kind"}, train_size=0.7, validation_size=0.1, max_epochs=1)
    assert "1 of 4 labels have no training cell and are never predicted: late." in capsys.readouterr().err
    assert (model.predict(soft=True)["late"] == 0).all() and set(model.predict()) == {"B", "NK", "T"}
