import numpy as np
import pytest

from scmoe.data._setup import Setup
from scmoe.explain.concepts._cells import MaskConcept, ScoreConcept, View, batch_controls, depth_control

CELLS = 120


@pytest.fixture
def view(paired):
    """Cells whose only activation is their own number."""
    setup = Setup.from_mudata(paired, batch_key="batch")
    numbers = np.arange(CELLS, dtype=np.float32)[:, None]
    return View(mdata=paired, setup=setup, activations=numbers, encode=lambda _: numbers, n_pool=20)


NOBODY = np.zeros(CELLS, dtype=bool)


def sets(concept, view, target=NOBODY, seed=0):
    return [set(part.ravel().astype(int)) for part in concept.sets(view, target, np.random.default_rng(seed))]


def test_a_mask_s_cells_against_all_others(view):
    mask = np.arange(CELLS) < 40
    assert sets(MaskConcept(name="few", kind="cells", mask=mask), view) == [set(range(40)), set(range(40, CELLS))]


def test_high_scores_against_the_lower_half(view):
    scores = np.random.default_rng(0).permutation(CELLS).astype(float)
    high, low = sets(ScoreConcept(name="s", kind="gene set", scores=scores, by_target=True), view)
    order = np.argsort(-scores)
    assert high == set(order[:30])  # a tenth would be fewer than a direction can be learned from
    assert low == set(order[60:])


def test_the_target_s_own_cells_are_left_out_of_a_score(view):
    target = np.arange(CELLS) >= 100
    scores = np.arange(CELLS, dtype=float)
    with_target, _ = sets(ScoreConcept(name="s", kind="control", scores=scores, by_target=False), view, target)
    without, low = sets(ScoreConcept(name="s", kind="gene set", scores=scores, by_target=True), view, target)
    assert with_target == set(range(90, 120)) and without == set(range(70, 100))
    assert low == set(range(50))


def test_cells_without_a_score_are_in_neither_set(view):
    scores = np.where(np.arange(CELLS) % 2 == 0, np.nan, np.arange(CELLS))
    found = sets(ScoreConcept(name="s", kind="control", scores=scores, by_target=False), view)
    assert not {cell for part in found for cell in part if cell % 2 == 0}


def test_cells_of_one_score_are_not_chosen_by_their_place(view):
    concept = ScoreConcept(name="s", kind="control", scores=np.zeros(CELLS), by_target=False)
    assert sets(concept, view, seed=0) != sets(concept, view, seed=1)


def test_too_few_cells_name_the_concept(view):
    mask = np.arange(CELLS) < 12
    with pytest.raises(ValueError, match="Concept 'rare' needs at least 30 cells.*found 12 and 108"):
        MaskConcept(name="rare", kind="cells", mask=mask).sets(view, NOBODY, np.random.default_rng(0))


def test_depth_is_the_total_of_raw_counts(raw, view):
    (depth,) = depth_control(view.mdata, view.setup)
    np.testing.assert_array_equal(depth.scores, np.asarray(raw["rna"].X.sum(1)).ravel())
    assert (depth.name, depth.kind) == ("depth of rna", "control")


def test_depth_of_cells_that_lack_the_modality_is_unknown(mosaic):
    (depth,) = depth_control(mosaic, Setup.from_mudata(mosaic))
    np.testing.assert_array_equal(np.isfinite(depth.scores), mosaic.obs_names.isin(mosaic["rna"].obs_names))


def test_no_depth_without_counts(paired):
    for modality in paired.mod.values():
        del modality.layers["counts"]
    assert depth_control(paired, Setup.from_mudata(paired)) == []


def test_of_two_batches_one_says_all(view):
    (batch,) = batch_controls(view.mdata, view.setup)
    assert batch.name in ("batch donor1", "batch donor2") and batch.mask.sum() == 60
    assert batch_controls(view.mdata, Setup.from_mudata(view.mdata)) == []
