"""Whether the mapping score of ordinary new cells is what it says, however few cells were held out."""

import numpy as np
import pytest
from anndata import AnnData

import scmoe.model._fit_mapping as fitting
from scmoe.model import SCMOE

TRAIN = {"max_epochs": 1, "accelerator": "cpu", "enable_progress_bar": False}
NETWORK = {"n_hidden": 16, "n_heads": 2, "n_experts": 4, "n_tokens": 2, "n_programs": 20, "expert_hidden": 16}


def cells(n, seed):
    """Three kinds, in four of 60 directions, amid noise that no component of a few cells reproduces."""
    rng = np.random.default_rng(seed)
    axes = np.random.default_rng(0).normal(size=(4, 60))
    x = (rng.integers(3, size=(n, 1)) + rng.normal(size=(n, 4))) @ axes + 3 * rng.normal(size=(n, 60))
    return AnnData(x.astype(np.float32))


def fitted(n, **train):
    SCMOE.setup_anndata(data := cells(n, 1))
    model = SCMOE(data, **NETWORK)
    model.train(**TRAIN, **train)
    return model


@pytest.mark.parametrize("validation_size", [0.0, 0.1])
def test_one_in_twenty_new_cells_is_below_five_percent(validation_size):
    model = fitted(300, train_size=1 - validation_size, validation_size=validation_size)
    score = model.get_mapping_score(cells(2000, 2))
    assert 0.02 < (score < 0.05).mean() < 0.09
    assert 0.4 < np.median(score) < 0.6


@pytest.mark.parametrize("n", [20, 100])
def test_where_few_are_held_out_every_cell_is_new_once(n):
    model = fitted(n)
    assert len(model.readouts.familiarities[(0,)].reference) == n


@pytest.mark.parametrize(("enough", "expected"), [(10, 10), (11, 19), (19, 19), (20, 28)])
def test_no_more_training_cells_are_set_aside_than_needed(monkeypatch, enough, expected):
    monkeypatch.setattr(fitting, "MIN_REFERENCE", enough)
    assert len(fitted(100).readouts.familiarities[(0,)].reference) == expected
