"""A step that is not finite is left out, and the guard changes nothing else."""

import pytest
import torch
from lightning.pytorch import Callback
from torch.optim.swa_utils import get_ema_multi_avg_fn

import scmoe.train._fit
from scmoe.train._objective import objective
from scmoe.train._plan import TrainingPlan

DEVICES = [
    "cpu",
    pytest.param(
        "gpu", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")]
    ),
]
STEPS = 4
"""An epoch of the 108 training cells."""


def nan_loss(loss, network):
    return loss * torch.nan


def infinite_loss_of_finite_gradient(loss, network):
    return loss + torch.inf


def finite_loss_of_nan_gradient(loss, network):
    return loss + (0 * next(network.parameters()).sum()).sqrt()


@pytest.fixture
def spoil(monkeypatch):
    """Spoils the loss of the training steps of the given numbers."""

    def patch(steps, how=nan_loss):
        done = []

        def spoiled(network, batch, config):
            terms = objective(network, batch, config)
            if network.training:
                done.append(None)
                if len(done) - 1 in steps:
                    terms["loss"] = how(terms["loss"], network)
            return terms

        monkeypatch.setattr(scmoe.train._fit, "objective", spoiled)

    return patch


class Snapshots(Callback):
    """Weights, running average and state of the optimizer before each step."""

    def __init__(self) -> None:
        self.taken = []

    def on_train_batch_start(self, trainer, plan, *_) -> None:
        state = trainer.optimizers[0].state
        moments = [value for p in plan.network.parameters() for _, value in sorted(state.get(p, {}).items())]
        self.taken.append([t.detach().cpu().clone() for t in [*plan.state_dict().values(), *moments]])


def same(first, second):
    return len(first) == len(second) and all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("how", [nan_loss, infinite_loss_of_finite_gradient, finite_loss_of_nan_gradient])
def test_a_step_that_is_not_finite_changes_nothing_and_is_counted(paired, fit_model, spoil, how, device):
    spoil({2, STEPS + 1}, how)
    snapshots = Snapshots()
    model = fit_model(paired, callbacks=[snapshots], accelerator=device)
    unchanged = [i for i in range(2 * STEPS - 1) if same(snapshots.taken[i], snapshots.taken[i + 1])]
    assert unchanged == [2, STEPS + 1]
    assert model.diagnostics["n_skipped_steps"] == 2
    assert model.diagnostics["verdict"][0].startswith("2 of 8 steps were skipped")
    assert all(weights.isfinite().all() for weights in model.module.state_dict().values())


def test_the_mean_loss_is_that_of_the_other_steps(fresh, fit_model, spoil, monkeypatch):
    seen = []

    def watched(network, batch, config):
        terms = objective(network, batch, config)
        if network.training:
            seen.append(terms["loss"].item())
        return terms

    with monkeypatch.context() as patch:
        patch.setattr(scmoe.train._fit, "objective", watched)
        fit_model(fresh("paired"), max_epochs=1)
    spoil({STEPS - 1})
    history = fit_model(fresh("paired"), max_epochs=1).history
    assert history["train_loss"].item() == pytest.approx(sum(seen[:-1]) / (STEPS - 1), rel=1e-6)


@pytest.mark.parametrize("data", ["paired", "mosaic"])
def test_without_such_a_step_the_guard_changes_nothing(fresh, fit_model, monkeypatch, assert_same, data):
    class Unguarded(TrainingPlan):
        def training_step(self, batch, _):
            terms = objective(self.network, batch, self.config)
            self._add("train", terms, torch.tensor(True))
            return terms["loss"]

        def configure_gradient_clipping(self, optimizer, *_, **__):
            self.clip_gradients(optimizer, self.config.gradient_clip, "norm")

        def on_train_batch_end(self, *_):
            step = self.global_step
            get_ema_multi_avg_fn(min(self.config.ema, step / (9 + step)))(*self._averaged, step)

    guarded = fit_model(fresh(data))
    monkeypatch.setattr(scmoe.train._fit, "TrainingPlan", Unguarded)
    assert_same(guarded, fit_model(fresh(data)))


def test_half_of_an_epoch_may_be_skipped(paired, fit_model, spoil):
    spoil({0, 1})
    assert fit_model(paired).diagnostics["n_skipped_steps"] == 2


def test_more_than_half_may_not(paired, fit_model, spoil):
    spoil({STEPS, STEPS + 1, STEPS + 3})
    with pytest.raises(FloatingPointError, match=r"in 3 of the 4 steps of epoch 2. Lower the learning rate"):
        fit_model(paired)


def test_the_count_survives_an_interruption(paired, fit_model, spoil, tmp_path):
    class Stop(Callback):
        def on_train_epoch_start(self, trainer, plan) -> None:
            if trainer.current_epoch:
                raise RuntimeError("stopped")

    spoil({1})
    with pytest.raises(RuntimeError, match="stopped"):
        fit_model(paired, checkpoint_dir=tmp_path, callbacks=[Stop()])
    spoil({0})
    resumed = fit_model(paired, checkpoint_dir=tmp_path, resume=True)
    assert resumed.diagnostics["n_skipped_steps"] == 2


class Diverging(Callback):
    """Spoils a weight right after the last step of an epoch, as an update that overflows does."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, trainer, plan, *_) -> None:
        if trainer.is_last_batch and trainer.current_epoch == self.epoch:
            with torch.no_grad():
                next(plan.network.parameters()).view(-1)[0] = torch.inf


@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("kind", ["scmoe", "genes"])
def test_weights_that_diverge_in_a_last_step_are_no_model(paired, genes, fit_model, fit_genes, tmp_path, kind, epoch):
    fit, data = (fit_model, paired) if kind == "scmoe" else (fit_genes, genes)
    with pytest.raises(FloatingPointError, match=rf"no finite numbers at the end of epoch {epoch + 1}"):
        fit(data, callbacks=[Diverging(epoch)], checkpoint_dir=tmp_path)
    assert (tmp_path / "last.ckpt").exists() == (epoch > 0)  # of the epoch before
    if epoch:
        fit(data, checkpoint_dir=tmp_path, resume=True)


def test_fine_tuning_that_diverges_gives_no_model(pretrained, genes):
    before = {name: weight.clone() for name, weight in pretrained.module.state_dict().items()}
    with pytest.raises(FloatingPointError, match="no finite numbers at the end of epoch 1"):
        pretrained.fine_tune(
            "cell_type", genes, max_epochs=1, accelerator="cpu", enable_progress_bar=False, callbacks=[Diverging(0)]
        )
    assert all(torch.equal(weight, before[name]) for name, weight in pretrained.module.state_dict().items())


def test_a_validation_loss_that_is_no_number_is_an_error(paired, fit_model, monkeypatch):
    def spoiled(network, batch, config):
        terms = objective(network, batch, config)
        return terms if network.training else terms | {"loss": terms["loss"] * torch.nan}

    monkeypatch.setattr(scmoe.train._fit, "objective", spoiled)
    with pytest.raises(FloatingPointError, match="loss of the validation cells was not a finite number at the end of"):
        fit_model(paired)


def test_a_model_is_as_it_was_if_a_second_training_diverges(paired, fit_model):
    model = fit_model(paired)
    before = {name: weight.clone() for name, weight in model.module.state_dict().items()}
    expected = model.get_latent_representation()
    with pytest.raises(FloatingPointError):
        model.train(max_epochs=1, accelerator="cpu", enable_progress_bar=False, callbacks=[Diverging(0)])
    assert all(torch.equal(weight, before[name]) for name, weight in model.module.state_dict().items())
    assert (model.get_latent_representation() == expected).all()


def test_states_that_are_no_numbers_are_never_returned(fresh, fit_model):
    model = fit_model(fresh("paired"))
    with torch.no_grad():
        for weight in model.module.parameters():
            weight.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="states of some of the cells are not finite"):
        model.get_latent_representation()
