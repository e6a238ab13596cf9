"""The parts of a fine-tuning."""

import numpy as np
import pytest

from scmoe.losses._class_balance import OPTIONS, Balance
from scmoe.train._fine_tune import phases_of

COUNTS = np.array([90, 9, 1])


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("max_epochs", [2, 5, 11])
def test_every_option_has_as_many_epochs(option, max_epochs):
    parts = phases_of(Balance(option, COUNTS), max_epochs)
    assert sum(part.n_epochs for part in parts) == max_epochs and all(part.n_epochs for part in parts)


def test_deferred_weighs_the_last_fifth_at_a_tenth_of_the_rate():
    plain, late = phases_of(Balance("deferred", COUNTS), 10)
    assert (plain.n_epochs, plain.balance.option, plain.rate) == (8, "none", 1)
    assert (late.n_epochs, late.balance.option, late.rate, late.head_only) == (2, "deferred", 0.1, False)


def test_decoupled_trains_the_head_alone_on_labels_drawn_alike():
    plain, late = phases_of(Balance("decoupled", COUNTS), 10)
    assert (plain.n_epochs, plain.balance.option, plain.head_only) == (8, "none", False)
    assert (late.n_epochs, late.rate, late.head_only) == (2, 1, True)
    label = np.repeat(np.arange(3), COUNTS)
    np.testing.assert_allclose(np.bincount(label, late.balance.probabilities(label)), 1 / 3)


@pytest.mark.parametrize("option", ["post_hoc", "prototype"])
def test_what_comes_after_the_training_leaves_it_plain(option):
    (part,) = phases_of(Balance(option, COUNTS), 3)
    assert part.balance.option == "none"


@pytest.mark.parametrize("option", ["deferred", "decoupled"])
def test_two_parts_need_two_epochs(option):
    with pytest.raises(ValueError, match=f"{option}.* needs two epochs, the last of them balanced; found 1"):
        phases_of(Balance(option, COUNTS), 1)
