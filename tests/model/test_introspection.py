"""Routing and attention of a trained model."""

import numpy as np
import pytest


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_router_activations_are_shares(mosaic, trained_mosaic, kind):
    activations = trained_mosaic.get_router_activations(mosaic, kind=kind)
    assert list(activations) == ["rna", "adt", "ephys"]
    for name, shares in activations.items():
        assert shares.shape == (120, 1, 4) and shares.dtype == np.float32
        here = mosaic.obs_names.isin(mosaic[name].obs_names)
        np.testing.assert_allclose(shares[here].sum(-1), 1, rtol=1e-5)
        assert np.isnan(shares[~here]).all()


def test_attention_is_a_share_of_the_modalities_present(mosaic, trained_mosaic):
    attention = trained_mosaic.get_attention(mosaic)
    present = np.stack([mosaic.obs_names.isin(mosaic[name].obs_names) for name in mosaic.mod], axis=1)
    assert attention.shape == (120, 1, 3, 3)
    np.testing.assert_allclose(attention[:, 0][present].sum(-1), 1, rtol=1e-5)
    assert np.isnan(attention[:, 0][~present]).all()
    absent_keys = np.broadcast_to(~present[:, None, :], (120, 3, 3)) & present[:, :, None]
    assert (attention[:, 0][absent_keys] == 0).all()
