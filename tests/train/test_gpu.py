"""What only a GPU can show; skipped without one."""

import numpy as np
import pytest
import torch
from lightning.fabric.utilities import move_data_to_device

from scmoe.train._config import TrainConfig
from scmoe.train._objective import objective

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")]


@pytest.mark.parametrize("data", ["paired", "mosaic"])
def test_results_equal_those_of_the_cpu(fresh, fit_model, data):
    model = fit_model(fresh(data))
    joint, predicted = model.get_latent_representation(), model.impute("rna", "adt")
    model.to_device("cuda")
    np.testing.assert_allclose(model.get_latent_representation(), joint, atol=2e-3, rtol=2e-3)
    np.testing.assert_allclose(model.impute("rna", "adt"), predicted, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("data", ["paired", "mosaic"])
def test_gradients_equal_those_of_the_cpu(fresh, fit_model, data):
    model = fit_model(fresh(data))
    network, batch = model.module.double(), model._dataset(None)[np.arange(60)]
    double = [[None if x is None or x.dtype == torch.bool else x.double() for x in part] for part in batch[:3]]
    batch = batch._replace(values=double[0], counts=double[2])
    found = []
    for device in ("cpu", "cuda"):
        network.to(device).zero_grad()
        objective(network, move_data_to_device(batch, torch.device(device)), TrainConfig())["loss"].backward()
        found.append([p.grad.cpu() for p in network.parameters() if p.grad is not None])
    for mine, cpu in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(mine, cpu, atol=1e-8, rtol=1e-6)


def test_mixed_precision_converges_to_the_same_loss(fresh, fit_model):
    losses = [
        fit_model(fresh("paired"), max_epochs=30, **kwargs).history["validation_loss"].iloc[-1]
        for kwargs in ({"accelerator": "cpu"}, {"accelerator": "gpu", "precision": "bf16-mixed"})
    ]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


@pytest.mark.parametrize("data", ["paired", "mosaic"])
def test_a_step_in_mixed_precision_never_waits_for_the_device(fresh, fit_model, data):
    model = fit_model(fresh(data))
    network = model.module.cuda().train()
    batch = move_data_to_device(model._dataset(None)[np.arange(60)], torch.device("cuda"))
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.autocast("cuda", torch.bfloat16):
            loss = objective(network, batch, TrainConfig())["loss"]
        loss.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_deterministic_mode_repeats_itself(fresh, fit_model, assert_same):
    models = [fit_model(fresh("paired"), accelerator="gpu", deterministic=True) for _ in range(2)]
    for model in models:
        model.to_device("cpu")
    assert_same(*models)
