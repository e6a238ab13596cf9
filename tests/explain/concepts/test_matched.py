import numpy as np
import pytest

from scmoe.explain.concepts._cells import ScoreConcept, View
from scmoe.explain.concepts._matched import matched_p

N_CELLS, F, N_MATCHED = 200, 8, 19
NOBODY = np.zeros(N_CELLS, dtype=bool)


@pytest.fixture
def view():
    rng = np.random.default_rng(0)
    return View(
        mdata=None, setup=None, activations=rng.normal(size=(N_CELLS, F)), encode=lambda altered: altered, n_pool=20
    )


def concept(scores, matched):
    return ScoreConcept(name="set", kind="gene set", scores=scores, by_target=True, matched=matched)


def test_what_drives_the_target_does_more_than_random_sets(view):
    gradient = np.tile(np.eye(F)[0], (20, 1))
    matched = np.random.default_rng(1).normal(size=(N_MATCHED, N_CELLS))
    assert matched_p(concept(view.activations[:, 0], matched), view, NOBODY, gradient, seed=0) == 1 / (1 + N_MATCHED)


def test_a_random_set_is_one_of_many(view):
    gradient = np.tile(np.eye(F)[0], (20, 1))
    p = []
    for seed in range(100):
        scores = np.random.default_rng(seed).normal(size=(1 + N_MATCHED, N_CELLS))
        p.append(matched_p(concept(scores[0], scores[1:]), view, NOBODY, gradient, seed))
    assert np.mean(p) == pytest.approx(0.525, abs=0.1)
    assert np.mean(np.array(p) <= 0.05) <= 0.12
