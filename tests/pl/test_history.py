import numpy as np
import pytest

import scmoe.pl


def test_draws_the_stored_losses(mdata):
    ax = scmoe.pl.history(mdata)
    lines = {line.get_label(): line for line in ax.get_lines()}
    np.testing.assert_allclose(lines["train loss (all terms)"].get_ydata(), mdata.uns["scmoe"]["history"]["train_loss"])
    assert lines["validation loss (decoding)"].get_xdata().tolist() == [0, 1, 2, 3, 5]


def test_dot_marks_the_lowest_validation_loss(mdata):
    dot = scmoe.pl.history(mdata).get_lines()[-1]
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (2, 1.0)


def test_terms_that_training_and_validation_have_alike_are_drawn(mdata):
    table = mdata.uns["scmoe"]["history"]
    for number, name in enumerate(("train_own", "validation_own", "train_cross", "validation_cross")):
        table[name] = np.arange(6.0) + number
    ax = scmoe.pl.history(mdata)
    lines = {line.get_label(): line for line in ax.get_lines() if line.get_label()[0] != "_"}
    assert list(lines) == [
        f"{part}, from {which}" for which in ("its own state", "other states") for part in ("train", "validation")
    ]
    assert [line.get_linestyle() for line in lines.values()] == ["--", "-", "--", "-"]
    own, cross = lines["train, from its own state"], lines["train, from other states"]
    assert own.get_color() == lines["validation, from its own state"].get_color() != cross.get_color()
    np.testing.assert_array_equal(cross.get_ydata(), table["train_cross"])
    assert ax.get_ylabel() == "loss of decoding a modality"


def test_chosen_losses(mdata):
    assert [line.get_label() for line in scmoe.pl.history(mdata, losses=["ddc"]).get_lines()] == ["ddc"]


def test_unknown_loss_lists_the_columns(mdata):
    with pytest.raises(KeyError, match="train_loss, validation_loss, ddc"):
        scmoe.pl.history(mdata, losses=["kl"])
