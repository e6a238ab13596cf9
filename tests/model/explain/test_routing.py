"""Routing and attention of a trained model."""

import numpy as np
import pytest

from scmoe.model._fitted import query


@pytest.fixture(scope="module")
def deep(fresh, fit_model):
    """A model with two layers, of cells that lack modalities."""
    return fit_model(fresh("mosaic"), network={"n_layers": 2})


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_router_activations_are_shares(mosaic, trained_mosaic, kind):
    activations = trained_mosaic.get_router_activations(mosaic, kind=kind)
    assert list(activations) == ["rna", "adt", "ephys"]
    for name, shares in activations.items():
        assert shares.shape == (120, 1, 4) and shares.dtype == np.float32
        here = mosaic.obs_names.isin(mosaic[name].obs_names)
        np.testing.assert_allclose(shares[here].sum(-1), 1, rtol=1e-5)
        assert np.isnan(shares[~here]).all()


@pytest.mark.parametrize(
    ("kind", "shape"), [("mean", (120, 2, 3, 3)), ("heads", (120, 2, 2, 3, 3)), ("rollout", (120, 2, 3, 3))]
)
def test_attention_is_a_share_of_the_modalities_present(mosaic, deep, kind, shape):
    attention = deep.get_attention(mosaic, batch_size=50, kind=kind)
    present = np.stack([mosaic.obs_names.isin(mosaic[name].obs_names) for name in mosaic.mod], axis=1)
    assert attention.shape == shape and attention.dtype == np.float32
    for blocks in np.moveaxis(attention.reshape(120, -1, 3, 3), 1, 0):
        np.testing.assert_allclose(blocks[present].sum(-1), 1, rtol=1e-5)
        assert np.isnan(blocks[~present]).all()
        absent_keys = np.broadcast_to(~present[:, None, :], (120, 3, 3)) & present[:, :, None]
        assert (blocks[absent_keys] == 0).all()


def slow_rollout(layers: list[np.ndarray], present: np.ndarray, n_tokens: int) -> np.ndarray:
    """Of one cell with attention (H, N, N) in each layer, one pair of tokens at a time; the blocks (V, V)."""
    tokens = [t for t in range(len(present) * n_tokens) if present[t // n_tokens]]
    reaches = {(i, j): float(i == j) for i in tokens for j in tokens}
    for heads in layers:
        kept = {(i, j): (heads[:, i, j].mean() + (i == j)) / 2 for i in tokens for j in tokens}
        total = {i: sum(kept[i, j] for j in tokens) for i in tokens}
        reaches = {(i, j): sum(kept[i, m] / total[i] * reaches[m, j] for m in tokens) for i in tokens for j in tokens}
    blocks = np.full((len(present), len(present)), np.nan)
    for u in np.flatnonzero(present):
        queries = [i for i in tokens if i // n_tokens == u]
        for v in range(len(present)):
            keys = [j for j in tokens if j // n_tokens == v]
            blocks[u, v] = sum(reaches[i, j] for i in queries for j in keys) / len(queries)
    return blocks


def test_rollout_against_a_loop_over_tokens(mosaic, deep):
    cells = np.arange(9)
    found = deep.get_attention(mosaic, cells, kind="rollout")
    fitted, *where = query(deep, mosaic, cells)
    [chunk] = fitted.encode(*where, loadings="trained", return_attention=True)
    layers = [weights.detach().numpy() for weights in chunk.encoded.attention]
    for cell, present in enumerate(chunk.batch.presence.mask.numpy()):
        for layer in range(2):
            expected = slow_rollout([weights[cell] for weights in layers[: layer + 1]], present, deep.config.n_tokens)
            np.testing.assert_allclose(found[cell, layer], expected, rtol=1e-5, atol=1e-6)


def test_rollout_of_one_layer_is_half_attention_half_identity(paired, trained):
    mean, rollout = (trained.get_attention(paired, kind=kind) for kind in ("mean", "rollout"))
    np.testing.assert_allclose(rollout, (mean + np.eye(2)) / 2, rtol=1e-5)


def test_heads_average_to_the_mean(mosaic, deep):
    heads = deep.get_attention(mosaic, kind="heads")
    np.testing.assert_allclose(heads.mean(2), deep.get_attention(mosaic), rtol=1e-5)
    assert np.nanmax(np.abs(heads[:, :, 0] - heads[:, :, 1])) > 1e-3


@pytest.mark.parametrize("method", ["get_attention", "get_router_activations"])
def test_unknown_kind(mosaic, trained_mosaic, method):
    with pytest.raises(ValueError, match="kind must be .*; found 'all'"):
        getattr(trained_mosaic, method)(mosaic, kind="all")


def test_untrained_routers_are_random_and_leave_the_model_alone(paired, trained):
    own = trained.get_router_activations(paired)
    first, again, other = (trained.get_router_activations(paired, untrained=seed) for seed in (0, 0, 1))
    for name, use in own.items():
        np.testing.assert_array_equal(first[name], again[name])
        assert not np.allclose(first[name], other[name]) and not np.allclose(first[name], use)
        np.testing.assert_array_equal(trained.get_router_activations(paired)[name], use)
