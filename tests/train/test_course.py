"""The course of a validation loss, and whose weights are kept."""

import copy
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch import Callback

import scmoe.model.genes._pretraining
import scmoe.train._fit
from scmoe.train._course import course, is_lowest, kept_epoch

losses = st.lists(st.one_of(st.none(), st.floats(0.1, 10)), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ([10, 8, 7, 6, 5, 5, 4.5, 4], (1 / 6, 1 / 6, 0)),  # by two of eight epochs from 6 to 5 to 4, of a fall of 6
        ([10, 6, 7], (1, -1 / 4, 1 / 4)),
        ([5.0, 4.99], (math.nan, 0.01 / (0.05 * 4.99), 0)),  # a fall of less than 5 % counts as 5 %
        ([3.0], (math.nan, math.nan, math.nan)),
        ([], (math.nan, math.nan, math.nan)),
    ],
)
def test_falls_and_rise_are_shares_of_the_fall(loss, expected):
    assert course(np.array(loss, dtype=float)) == pytest.approx(expected, nan_ok=True)


def rows(values):
    return [{"epoch": i} | ({} if x is None else {"validation_loss": x}) for i, x in enumerate(values)]


def table(values):
    return pd.DataFrame(rows(values)).set_index("epoch")


@given(losses)
def test_the_lowest_is_below_all_before(values):
    measured = [x for x in values[:-1] if x is not None]
    assert is_lowest(rows(values)) == (values[-1] is not None and all(values[-1] < x for x in measured))


@given(losses, st.integers(0, 500))
def test_the_last_epoch_is_kept_or_the_first_lowest(values, n_cells):
    kept, last = kept_epoch(table(values), n_cells), len(values) - 1
    measured = [x for x in values if x is not None]
    if kept != last:
        assert values[kept] == min(measured) and values.index(min(measured)) == kept
        assert measured[-1] - min(measured) > 0.05 * (measured[0] - min(measured))
    if len(measured) < 2 or not n_cells or measured[-1] == min(measured):
        assert kept == last


@pytest.mark.parametrize(("n_cells", "smallest"), [(1, 1.0), (4, 0.5), (25, 0.2), (400, 0.05), (10_000, 0.05)])
def test_a_rise_is_clear_from_a_size_that_falls_with_the_number_of_cells(n_cells, smallest):
    assert kept_epoch(table([20, 10, 10 + 10 * smallest - 1e-6]), n_cells) == 2
    assert kept_epoch(table([20, 10, 10 + 10 * smallest + 1e-6]), n_cells) == 1


class Course(Callback):
    """Gives the validation loss a course, and keeps the averaged weights of each epoch."""

    def __init__(self, monkeypatch, values, place=(scmoe.train._fit, "objective")) -> None:
        self.values, self.epoch, self.averages = values, 0, {}
        objective = getattr(*place)

        def given_course(network, batch, config):
            terms = objective(network, batch, config)
            return terms if network.training else terms | {"loss": torch.tensor(self.values[self.epoch])}

        monkeypatch.setattr(*place, given_course)

    def on_validation_epoch_start(self, trainer, plan) -> None:
        self.epoch = trainer.current_epoch
        self.averages[self.epoch] = copy.deepcopy(plan.average.state_dict())


RISING, FLAT = [9.0, 5.0, 8.0, 9.0], [9.0, 5.0, 5.1, 5.1]


@pytest.mark.parametrize(("values", "kept"), [(RISING, 1), (FLAT, 3)])
def test_weights_of_the_best_epoch_are_kept_where_the_loss_rises(paired, fit_model, monkeypatch, values, kept):
    watched = Course(monkeypatch, values)
    model = fit_model(paired, max_epochs=4, callbacks=[watched])
    found = model.module.state_dict()
    assert all(torch.equal(weight, found[name]) for name, weight in watched.averages[kept].items())
    assert not all(torch.equal(weight, found[name]) for name, weight in watched.averages[2].items())
    assert model.diagnostics["kept_epoch"] == kept + 1
    assert math.isnan(model.diagnostics["posterior_drift"]) == (kept < 3)


@pytest.mark.parametrize(("values", "kept"), [(RISING, 1), (FLAT, 3)])
def test_pretraining_keeps_them_too_and_says_so(genes, fit_genes, monkeypatch, capsys, values, kept):
    watched = Course(monkeypatch, values, (scmoe.model.genes._pretraining, "pretrain_objective"))
    found = fit_genes(genes, max_epochs=4, callbacks=[watched]).module.state_dict()
    assert all(torch.equal(weight, found[name]) for name, weight in watched.averages[kept].items())
    assert ("in epoch 2, whose weights were kept" in capsys.readouterr().err) == (kept < 3)


class Stop(Callback):
    """Raises when an epoch begins."""

    def __init__(self, epoch) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, plan) -> None:
        if trainer.current_epoch == self.epoch:
            raise RuntimeError("power cut")


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_run_that_is_resumed_keeps_the_same_weights(fresh, fit_model, monkeypatch, tmp_path, assert_same, epoch):
    settings = {"max_epochs": 4, "callbacks": [Course(monkeypatch, RISING)]}
    whole = fit_model(fresh("paired"), **settings)
    with pytest.raises(RuntimeError, match="power cut"):
        stopped = [*settings["callbacks"], Stop(epoch)]
        fit_model(fresh("paired"), checkpoint_dir=tmp_path, **{**settings, "callbacks": stopped})
    assert_same(fit_model(fresh("paired"), checkpoint_dir=tmp_path, resume=True, **settings), whole)
    assert_same(fit_model(fresh("paired"), checkpoint_dir=tmp_path, resume=True, **settings), whole)  # of its end
