"""Layers: what they hold, and gradients with respect to it."""

import numpy as np
import pytest
import torch

from scmoe.model._fitted import query


def test_names(trained):
    assert trained.layers == ["input", "tokens", "block0.attended", "block0", "states"]


@pytest.mark.parametrize("layer", ["input", "tokens", "block0.attended", "block0", "states"])
def test_modalities_that_a_cell_lacks_hold_nothing(mosaic, trained_mosaic, layer):
    activations = trained_mosaic.get_activations(layer, mosaic, batch_size=50)
    features = list(map(len, trained_mosaic.feature_names.values()))
    tokens = 16 * (1 if layer == "states" else 2)
    widths = features if layer == "input" else [tokens] * 3
    assert activations.shape == (120, sum(widths)) and activations.dtype == np.float32
    parts = np.split(activations, np.cumsum(widths)[:-1], axis=1)
    for name, part in zip(mosaic.mod, parts, strict=True):
        here = mosaic.obs_names.isin(mosaic[name].obs_names)
        assert not part[~here].any() and part[here].any()


def test_states_are_those_of_the_embedding(paired, trained):
    states = trained.get_activations("states", paired).reshape(120, 2, 16)
    joint = trained.get_latent_representation(paired, part="network")
    np.testing.assert_allclose(states.mean(1), joint, atol=1e-5)


def shifted(model, layer):
    """Parameters that are added to every token of a layer."""
    network = model.module
    return {
        "tokens": [tokenizer.position for tokenizer in network.tokenizers],
        "block0.attended": [network.blocks[0].attention.out.bias],
        "block0": [network.blocks[0].moe.experts.b2],
        "states": [network.blocks[-1].moe.experts.b2],
    }[layer]


@pytest.mark.parametrize("layer", ["tokens", "block0.attended", "block0", "states"])
def test_gradients_against_finite_differences(paired, trained, layer):
    target, step = trained.label_target("T"), 1e-2
    direction = torch.from_numpy(np.random.default_rng(0).normal(size=16)).float()
    gradient = (
        trained.get_gradients(target, layer, paired, batch_size=50).reshape(120, -1, 16).sum(1) @ direction.numpy()
    )
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            for parameter in shifted(trained, layer):
                parameter += sign * step * direction
            fitted, dataset, cells = query(trained, paired, None)
            ends.append(
                np.concatenate(
                    [target.values(c).numpy() for c in fitted.encode(dataset, cells, loadings=target.loadings)]
                )
            )
            for parameter in shifted(trained, layer):
                parameter -= sign * step * direction
    difference = (ends[0] - ends[1]) / (2 * step)
    agree = np.isclose(gradient, difference, rtol=0.05, atol=0.02)
    assert agree.mean() > 0.95  # in the others, the step changes the choice of experts


def test_the_input_sees_what_readouts_read_past_the_network(paired, trained):
    target, step = trained.label_target("B"), 1e-2
    gradient = trained.get_gradients(target, "input", paired)
    rng = np.random.default_rng(0)
    v = rng.normal(size=60).astype(np.float32)
    fitted, dataset, cells = query(trained, paired, None)
    ends = []
    with torch.no_grad():
        (reading,) = fitted.read(dataset, cells, 120)
        for sign in (1, -1):
            z = [reading.z[0] + sign * step * torch.from_numpy(v), reading.z[1]]
            ends.append(target.values(fitted.encode_reading(reading._replace(z=z), loadings=target.loadings)).numpy())
    agree = np.isclose(gradient[:, :60] @ v, (ends[0] - ends[1]) / (2 * step), rtol=0.05, atol=0.02)
    assert agree.mean() > 0.95


def test_gradients_are_the_same_whatever_the_batch(paired, trained):
    target = trained.label_target("NK")
    whole, parts = (trained.get_gradients(target, "tokens", paired, batch_size=n) for n in (120, 7))
    np.testing.assert_allclose(parts, whole, atol=1e-5)


@pytest.mark.parametrize("layer", ["input", "tokens", "states"])
def test_directions_are_mean_changes_of_activations(mosaic, paired, trained_mosaic, layer):
    mosaic.uns["scmoe"] = paired.uns["scmoe"]  # what is known to be centered is not centered again
    shifts = np.zeros((2, 12), np.float32)
    shifts[0, 3], shifts[1, :5] = 1.0, -0.5
    here = np.flatnonzero(mosaic.obs_names.isin(mosaic["adt"].obs_names))
    found = trained_mosaic.get_directions(layer, "adt", shifts, mosaic, batch_size=50)
    std = trained_mosaic.module.standardizers[1].std.numpy()
    for shift, direction in zip(shifts, found, strict=True):
        changed = mosaic.copy()
        changed["adt"].X = changed["adt"].X + (shift * std).astype(np.float32)
        difference = [trained_mosaic.get_activations(layer, mdata, here) for mdata in (changed, mosaic)]
        np.testing.assert_allclose(direction, (difference[0] - difference[1]).mean(0), atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (("input", "atac", np.zeros((1, 12))), KeyError, "no modality 'atac'"),
        (("input", "adt", np.zeros((1, 11))), ValueError, "any number x 12 features; found the shape \\(1, 11\\)"),
        (("inputs", "adt", np.zeros((1, 12))), ValueError, "did you mean 'input'"),
    ],
)
def test_bad_shifts(paired, trained, arguments, error, match):
    with pytest.raises(error, match=match):
        trained.get_directions(*arguments, paired)


def test_unknown_layer(paired, trained):
    with pytest.raises(ValueError, match="no layer 'token'; did you mean 'tokens'"):
        trained.get_activations("token", paired)
    with pytest.raises(ValueError, match="no layer 'block3'"):
        trained.get_gradients(trained.label_target("B"), "block3", paired)
