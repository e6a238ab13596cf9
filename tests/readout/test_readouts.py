"""All readouts as one flat dict of arrays, and back."""

import numpy as np
import pytest

from scmoe.readout._annotator import fit_annotator
from scmoe.readout._linear import fit_linear, fit_mixture
from scmoe.readout._mapping_score import fit_mapping_score
from scmoe.readout._novelty import fit_novelty
from scmoe.readout._readouts import Readouts, from_text, to_text
from scmoe.readout._spread import fit_spread

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 5)).astype(np.float32), RNG.normal(size=(60, 3)).astype(np.float32)
HELD_OUT = np.arange(60) >= 40


def full() -> Readouts:
    return Readouts(
        mixtures={((0,), 1): fit_mixture(X, Y, Y, HELD_OUT), ((0, 2), 1): fit_mixture(X, 2 * Y, Y, HELD_OUT)},
        spreads={((0, 12), 1): fit_spread(Y, Y + 1, HELD_OUT)},
        embeddings={(0,): fit_linear(X, Y), (0, 1): fit_linear(2 * X, Y)},
        familiarities={(1,): fit_mapping_score(X, X[:20], seed=0)},
        annotators={s: fit_annotator([X, Y], np.arange(60) % 3, 4, seed=0) for s in ((0, 1), ())},
        novelties={s: fit_novelty(X, np.arange(60) % 3, seed=0) for s in ((0, 1), ())},
        label_scale=2.5,
        reference=X,
    )


def test_arrays_have_readable_names():
    names = set(full().to_arrays())
    assert {"mixtures/0→1/weight", "mixtures/0+2→1/coefficients", "spreads/0+12→1/factor", "label_scale"} <= names
    assert {
        "embeddings/0+1/intercept",
        "familiarities/1/centers",
        "annotators/0+1/temperature",
        "novelties//within",
    } <= names


@pytest.mark.parametrize("readouts", [full(), Readouts()], ids=["full", "none"])
def test_arrays_hold_all_there_is(readouts):
    arrays = readouts.to_arrays()
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    back = Readouts.from_arrays(arrays)
    again = back.to_arrays()
    assert list(again) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)
        assert again[name].dtype == array.dtype
    for kind in ("mixtures", "spreads", "embeddings", "familiarities", "annotators", "novelties"):
        assert list(getattr(back, kind)) == list(getattr(readouts, kind))


def test_each_part_does_the_same_after_the_way_back():
    readouts, back = full(), Readouts.from_arrays(full().to_arrays())
    assert back.label_scale == 2.5
    np.testing.assert_array_equal(back.reference, X)
    for key, mixture in readouts.mixtures.items():
        assert back.mixtures[key].weight == mixture.weight
        np.testing.assert_array_equal(back.mixtures[key].linear.predict(X), mixture.linear.predict(X))
    np.testing.assert_array_equal(back.annotators[0, 1].predict([X, Y]), readouts.annotators[0, 1].predict([X, Y]))
    np.testing.assert_array_equal(back.familiarities[(1,)].score(X), readouts.familiarities[(1,)].score(X))


@pytest.mark.parametrize(
    ("key", "text"), [((), ""), ((0,), "0"), ((0, 11), "0+11"), (((0,), 1), "0→1"), (((0, 2, 13), 1), "0+2+13→1")]
)
def test_keys_are_text_and_back(key, text):
    assert to_text(key) == text and from_text(text) == key


def test_readouts_do_not_share_their_parts():
    first, second = Readouts(), Readouts()
    first.embeddings[(0,)] = fit_linear(X, Y)
    assert not second.embeddings
