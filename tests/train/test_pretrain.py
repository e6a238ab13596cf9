"""Masked-gene pretraining: its losses, and that the same run gives the same model."""

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from pandas.testing import assert_frame_equal
from torch import nn
from torch.nn import functional as F

from scmoe.data.genes._dataset import GeneBatch
from scmoe.losses._balance import balance_loss, z_loss
from scmoe.nn.genes._config import GeneConfig
from scmoe.nn.genes._network import GeneNetwork
from scmoe.tokens._vocabulary import Vocabulary
from scmoe.train._pretrain import PretrainConfig, pretrain_objective


class Stop(Callback):
    """Raises in the middle of an epoch."""

    def __init__(self, epoch: int = 2) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.current_epoch == self.epoch and batch_idx == 1:
            raise RuntimeError("power cut")


def weights(model) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.module.state_dict().items()}


def differing(first, second) -> list[str]:
    return [name for name in first if not torch.equal(first[name], second[name])]


def assert_same_model(first, second) -> None:
    assert differing(weights(first), weights(second)) == []
    assert_frame_equal(first.history, second.history, check_exact=True)
    np.testing.assert_array_equal(first.get_latent_representation(), second.get_latent_representation())


@pytest.fixture
def batch() -> GeneBatch:
    hidden = torch.tensor([[True, True, True], [True, False, False]])
    target = torch.tensor([[2.0, 0.0, 5.4], [0.0, 0.0, 0.0]])
    gene, asked = torch.tensor([[0, 1], [2, 0]]), torch.tensor([[3, 4, 5], [6, 0, 0]])
    seen = torch.tensor([[True, True], [True, False]])
    return GeneBatch(gene, torch.ones(2, 2), seen, asked, hidden, target, torch.full((2,), -1), None)


def network(**settings) -> GeneNetwork:
    torch.manual_seed(0)
    made = GeneNetwork(8, None, GeneConfig(encoder_width=8, decoder_width=4, n_bins=4, **settings))
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made


def outputs_of(made: GeneNetwork, batch: GeneBatch) -> torch.Tensor:
    encoded = made.encode(batch.gene, batch.value, batch.seen)
    return made.outputs(encoded, made.decode(encoded, batch.gene, batch.asked, batch.hidden), batch.asked)


def test_losses_are_means_over_masked_genes(batch):
    made = network()
    predicted, terms = outputs_of(made, batch)[..., 0], pretrain_objective(made, batch, PretrainConfig())
    errors = {(b, i): (predicted[b, i] - batch.target[b, i]) ** 2 for b, i in [(0, 0), (0, 1), (0, 2), (1, 0)]}
    torch.testing.assert_close(terms["nonzero"], (errors[0, 0] + errors[0, 2]) / 2)
    torch.testing.assert_close(terms["zero"], (errors[0, 1] + errors[1, 0]) / 2)
    torch.testing.assert_close(terms["loss"], sum(errors.values()) / 4)
    assert set(terms) == {"loss", "nonzero", "zero"}


def test_classes_are_the_whole_numbers_that_values_round_to(batch):
    made = network(target="class")
    logits, terms = outputs_of(made, batch), pretrain_objective(made, batch, PretrainConfig())
    expected = F.cross_entropy(logits[batch.hidden], torch.tensor([2, 0, 5, 0]))
    torch.testing.assert_close(terms["loss"], expected)


def test_experts_are_balanced_in_training_alone(batch):
    made, config = network(n_experts=3, top_k=2), PretrainConfig(balance_weight=0.5, z_weight=0.25)
    torch.manual_seed(1)
    terms = pretrain_objective(made, batch, config)
    torch.manual_seed(1)
    routing = made.encode(batch.gene, batch.value, batch.seen).routing
    torch.testing.assert_close(terms["balance"], sum(map(balance_loss, routing)))
    torch.testing.assert_close(terms["z"], sum(map(z_loss, routing)))
    error = (4 * terms["loss"] - 2 * terms["balance"] - terms["z"]) / 4
    torch.testing.assert_close(error, (terms["nonzero"] + terms["zero"]) / 2)
    terms = pretrain_objective(made.eval(), batch, config)
    torch.testing.assert_close(terms["loss"], (terms["nonzero"] + terms["zero"]) / 2)


def test_the_loss_falls_and_history_has_its_parts(pretrained):
    history = pretrained.history
    assert set(history) == {f"{s}_{t}" for s in ("train", "validation") for t in ("loss", "nonzero", "zero")}
    assert np.isfinite(history.to_numpy()).all() and history.index.tolist() == list(range(10))
    assert history["train_loss"].iloc[-1] < 0.8 * history["train_loss"].iloc[0]


def test_same_seed_same_model(genes, fit_genes):
    first = fit_genes(genes, seed=3)
    torch.manual_seed(99)
    assert_same_model(first, fit_genes(genes, seed=3))
    assert differing(weights(first), weights(fit_genes(genes, seed=4)))


@pytest.mark.parametrize(
    "network", [{}, {"depth_tokens": True, "dropout": 0.1}, {"tokenizer": "rank", "n_experts": 2}], ids=str
)
def test_resumed_after_an_error_in_mid_epoch_as_if_never_stopped(genes, fit_genes, tmp_path, network):
    settings = {"max_epochs": 4, "network": network}
    with pytest.raises(RuntimeError, match="power cut"):
        fit_genes(genes, callbacks=[Stop()], checkpoint_dir=tmp_path, **settings)
    resumed = fit_genes(genes, resume=True, checkpoint_dir=tmp_path, **settings)
    assert_same_model(resumed, fit_genes(genes, **settings))


def test_resuming_a_finished_run_changes_nothing(genes, fit_genes, tmp_path):
    finished = fit_genes(genes, checkpoint_dir=tmp_path)
    assert_same_model(fit_genes(genes, checkpoint_dir=tmp_path, resume=True), finished)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"seed": 5}, "seed=0; this one has seed=5"),
        ({"network": {"n_bins": 7}}, "n_bins=6; this one has n_bins=7"),
        ({"plan_kwargs": {"mask_zero": 0.1}}, "mask_zero=0.03; this one has mask_zero=0.1"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(genes, fit_genes, tmp_path, settings, match):
    fit_genes(genes, checkpoint_dir=tmp_path)
    with pytest.raises(ValueError, match=match):
        fit_genes(genes, checkpoint_dir=tmp_path, resume=True, **settings)


@pytest.mark.parametrize("kind", ["continuous", "rank"])
def test_a_failed_training_leaves_the_model_as_it_was(genes, fit_genes, kind):
    model = fit_genes(genes, network={"tokenizer": kind})
    before, history, latent = weights(model), model.history, model.get_latent_representation()
    with pytest.raises(RuntimeError, match="power cut"):
        model.train(4, batch_size=16, callbacks=[Stop(1)], accelerator="cpu", enable_progress_bar=False)
    assert differing(before, weights(model)) == [] and model.history is history
    np.testing.assert_array_equal(model.get_latent_representation(), latent)


def test_a_failed_first_training_leaves_an_untrained_model(genes, fit_genes, tiny_genes):
    model = tiny_genes(genes, tokenizer="rank")
    before, settings = weights(model), {"batch_size": 16, "accelerator": "cpu", "enable_progress_bar": False}
    with pytest.raises(RuntimeError, match="power cut"):
        model.train(4, callbacks=[Stop(1)], **settings)
    assert differing(before, weights(model)) == [] and not model.is_trained and model.tokenizer.n_genes is None
    with pytest.raises(RuntimeError, match="not trained yet"):
        model.get_latent_representation()
    model.train(2, **settings)
    assert_same_model(model, fit_genes(genes, network={"tokenizer": "rank"}))


def test_a_second_training_goes_on_from_the_first(genes, fit_genes):
    model = fit_genes(genes, max_epochs=10, plan_kwargs={"lr": 1e-2})
    first, before = model.history["validation_loss"], weights(model)
    model.train(1, batch_size=16, accelerator="cpu", enable_progress_bar=False, plan_kwargs={"lr": 1e-4})
    assert model.history["validation_loss"].iloc[0] < first.iloc[0]
    assert differing(before, weights(model)) and len(model.history) == 1


def test_validation_masks_are_the_same_in_each_epoch(genes, fit_genes):
    seen = []

    class Watch(Callback):
        def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0) -> None:
            seen.append((batch.asked.clone(), batch.target.clone(), batch.gene.clone()))

    fit_genes(genes, callbacks=[Watch()], train_size=0.5)
    assert len(seen) == 4  # two batches in two epochs
    for first, second in zip(seen[:2], seen[2:], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_training_masks_are_new_in_each_epoch(genes, fit_genes):
    seen = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
            seen.append(int(batch.hidden.sum()) * 10_000 + int(batch.asked.sum()))

    fit_genes(genes, callbacks=[Watch()])
    assert len(set(seen)) == len(seen) == 8


@pytest.mark.parametrize("kind", ["continuous", "rank", "bins"])
def test_validation_cells_do_not_influence_the_weights(genes, fit_genes, kind):
    network = {"tokenizer": kind, "value_embedding": "equal" if kind == "continuous" else "auto"}
    first = fit_genes(genes, network=network)
    changed = genes.X.toarray()
    changed[first.validation_indices_] = changed[first.validation_indices_] * 3 + 1
    genes.X = changed
    second = fit_genes(genes, network=network)
    assert differing(weights(first), weights(second)) == []
    assert (first.history["validation_loss"] != second.history["validation_loss"]).all()


def test_without_validation_cells_no_validation_loss(genes, fit_genes):
    model = fit_genes(genes, train_size=1.0)
    assert set(model.history) == {"train_loss", "train_nonzero", "train_zero"}
    assert len(model.train_indices_) == 64


@pytest.mark.parametrize(("masked", "left"), [("nonzero", "zero"), ("zero", "nonzero")])
def test_what_is_not_masked_has_no_error(genes, fit_genes, capsys, masked, left):
    model = fit_genes(genes, plan_kwargs={f"mask_{left}": 0.0})
    assert set(model.history) == {f"{part}_{name}" for part in ("train", "validation") for name in ("loss", masked)}
    said = {"nonzero": "that are expressed", "zero": "that are not"}
    assert said[masked] in (log := capsys.readouterr().err) and said[left] not in log


def test_mixed_precision(genes, fit_genes):
    network = {"decoder_layers": 2, "n_experts": 2}
    model = fit_genes(genes, max_epochs=6, network=network, precision="bf16-mixed", plan_kwargs={"lr": 1e-2})
    assert model.history["train_loss"].iloc[-1] < 0.9 * model.history["train_loss"].iloc[0]
    assert {p.dtype for p in model.module.parameters()} == {torch.float32}


def test_genes_that_were_not_measured_are_read_alike_in_training_and_after(genes, fit_genes, monkeypatch):
    more = Vocabulary((*genes.var_names, "other1", "other2"))
    read, decode = [], GeneNetwork.decode

    def watch(self, *args):
        read.append(args[-1])
        return decode(self, *args)

    monkeypatch.setattr(GeneNetwork, "decode", watch)
    model = fit_genes(genes, setup={"vocabulary": more}, max_epochs=1)
    model.impute(["gene0"])
    assert {tuple(np.flatnonzero(unknown)) for unknown in read} == {(40, 41)}


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"mask_nonzero": 0.0, "mask_zero": 0.0}, "nothing to predict. Raise mask_nonzero"),
        ({"mask_nonzero": 1.0}, "mask_nonzero must be a number of at least 0 and below 1; found 1.0"),
        ({"ema": 1.0}, "ema must be a number of at least 0 and below 1; found 1.0"),
        ({"lr": 0.0}, "lr must be a number above 0"),
        ({"z_weight": -1.0}, "z_weight must be a number of at least 0; found -1.0"),
    ],
)
def test_settings_that_cannot_be(settings, match):
    with pytest.raises(ValueError, match=match):
        PretrainConfig(**settings)
