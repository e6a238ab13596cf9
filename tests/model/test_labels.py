"""Unknown scores and trust of a trained model."""

import numpy as np
import pandas as pd
import pytest

import scmoe
from scmoe.io._quiet import quiet_mudata
from scmoe.model._labels import Annotation
from scmoe.readout._novelty import fit_novelty


@pytest.fixture(scope="module")
def without_b(fresh, fit_model):
    """A model that has never seen a B cell."""
    mdata = fresh("paired")
    with quiet_mudata():
        known = mdata[(mdata.obs["cell_type"] != "B").to_numpy()].copy()
    known.obs["cell_type"] = known.obs["cell_type"].astype(str)
    return fit_model(known, setup={"labels_key": "cell_type"}, max_epochs=8)


def test_a_type_that_was_left_out_is_unknown(paired, without_b):
    score, new = without_b.get_unknown_score(paired), (paired.obs["cell_type"] == "B").to_numpy()
    assert score.dtype == np.float32 and (score > 0).all() and (score <= 1).all()
    assert (score[new] > 0.95).all() and np.median(score[~new]) < 0.7
    assert (without_b.get_annotation(paired).trust[new] < 0.1).all()


def test_scores_are_those_of_the_embedding(paired, trained):
    codes = paired.obs["cell_type"].cat.codes.to_numpy()
    novelty = trained.readouts.novelties[0, 1]
    found = novelty.distance(trained.get_latent_representation(paired))
    np.testing.assert_allclose(trained.get_unknown_score(paired), novelty.rank(found), rtol=1e-6)
    learned = np.sort(np.concatenate([trained.train_indices, trained.validation_indices]))
    again = fit_novelty(trained.get_latent_representation(paired, learned), codes[learned], 0)
    np.testing.assert_allclose(found, again.distance(trained.get_latent_representation(paired)), rtol=1e-3)


def test_cells_that_lack_a_modality_are_compared_with_cells_that_lack_it(mosaic, fit_model):
    model = fit_model(mosaic, setup={"labels_key": "cell_type"})
    assert set(model.readouts.novelties) == set(model.readouts.annotators)
    found = model.get_annotation(mosaic, coverage=0.9)
    assert all(np.isfinite(part).all() for part in found)
    # Each set of modalities has its own 90 %.
    assert 0.85 < (found.trust > 0.1).mean() <= 1


def test_parts_of_the_cells_and_of_batches_change_nothing(paired, trained):
    whole = trained.get_annotation(paired)
    some = trained.get_annotation(paired, [7, 3, 50], batch_size=2)
    for each, part in zip(whole, some, strict=True):
        np.testing.assert_allclose(part, each[[7, 3, 50]], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(whole.probability, trained.predict(paired, soft=True))


def test_expected_accuracy_is_that_of_held_out_cells_that_are_kept(paired, trained):
    annotator = trained.readouts.annotators[0, 1]
    found = trained.get_annotation(paired).expected_accuracy
    np.testing.assert_allclose(found, (annotator.truth == annotator.predicted).mean())
    half = trained.get_annotation(paired, coverage=0.5).expected_accuracy
    assert half[0] >= found[0]


def test_saved_and_loaded_it_says_the_same(paired, trained, tmp_path):
    trained.save(tmp_path / "model")
    back = scmoe.model.SCMOE.load(tmp_path / "model")
    for first, second in zip(trained.get_annotation(paired), back.get_annotation(paired), strict=True):
        np.testing.assert_array_equal(first, second)


def test_an_empty_choice_of_cells(trained, paired):
    assert [part.shape for part in trained.get_annotation(paired, [])] == [(0, 3), (0,), (0,), (0,)]
    assert isinstance(trained.get_annotation(paired, []), Annotation)


@pytest.mark.parametrize("coverage", [0, 1.2, -0.5, float("nan")])
def test_refuses_a_coverage(trained, paired, coverage):
    with pytest.raises(ValueError, match="coverage must be a number above 0 and at most 1"):
        trained.get_annotation(paired, coverage=coverage)


def test_types_that_are_apart_would_be_found(paired, trained, tmp_path):
    table = trained.get_unknown_detection()
    assert table.index.name == "label" and set(table.index) == {"B", "NK", "T"}
    assert table["auroc"].is_monotonic_increasing and (table["auroc"] > 0.9).all()
    assert table["n_cells"].sum() == len(trained.readouts.annotators[0, 1].truth)
    trained.save(tmp_path / "model")
    pd.testing.assert_frame_equal(scmoe.model.SCMOE.load(tmp_path / "model").get_unknown_detection(), table)


def test_refuses_a_model_without_labels(mosaic, trained_mosaic):
    with pytest.raises(ValueError, match="trained without labels"):
        trained_mosaic.get_unknown_detection()
    with pytest.raises(ValueError, match="trained without labels"):
        trained_mosaic.get_unknown_score(mosaic)
