"""The rule of the reject option, against a slow reference."""

from dataclasses import replace

import numpy as np
import pytest

from scmoe.readout._annotator import fit_annotator
from scmoe.readout._novelty import fit_novelty
from scmoe.readout._trust import label_trust

CENTERS = 3 * np.random.default_rng(0).normal(size=(5, 8))


def cells(sizes, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return CENTERS[labels] + 2.5 * np.random.default_rng(seed).normal(size=(len(labels), 8)), labels


@pytest.fixture(scope="module")
def fitted():
    view, labels = cells([300, 150, 60], 1)
    return fit_annotator([view], labels, 3, seed=0), fit_novelty(view, labels, 0)


def trust_of(fitted, view):
    annotator, novelty = fitted
    return label_trust(annotator, novelty, annotator.predict([view]).max(1), novelty.distance(view))


def test_the_rule_cell_by_cell(fitted):
    annotator, novelty = fitted
    n = 1 + len(novelty.held_out)

    def smaller(p, d):
        return min((1 + (annotator.confidence <= p).sum()) / n, (1 + (novelty.held_out >= d).sum()) / n)

    reference = np.array([smaller(p, d) for p, d in zip(annotator.confidence, novelty.held_out, strict=True)])
    view = cells([5, 5, 5, 5], 2)[0]
    own = [smaller(p, d) for p, d in zip(annotator.predict([view]).max(1), novelty.distance(view), strict=True)]
    np.testing.assert_allclose(trust_of(fitted, view), [(1 + (reference <= each).sum()) / n for each in own])


@pytest.mark.parametrize("coverage", [0.95, 0.8, 0.5])
def test_new_cells_of_known_types_have_the_coverage(fitted, coverage):
    kept = trust_of(fitted, cells([900, 450, 180], 3)[0]) > 1 - coverage
    assert kept.mean() == pytest.approx(coverage, abs=0.05)


def test_cells_of_a_new_type_are_declined_though_their_label_is_sure(fitted):
    annotator, novelty = fitted
    assert label_trust(annotator, novelty, np.ones(1), np.full(1, 1e6)) < 0.05
    assert label_trust(annotator, novelty, np.full(1, 0.2), np.zeros(1)) < 0.05
    assert label_trust(annotator, novelty, np.ones(1), np.zeros(1)) == 1


def test_nothing_is_ranked_without_held_out_cells(fitted):
    annotator, novelty = fitted
    assert np.isnan(label_trust(annotator, replace(novelty, held_out=np.empty(0)), np.ones(2), np.ones(2))).all()
