import numpy as np
import pytest
import torch

from scmoe.model.experts._upcycle import upcycled


@pytest.fixture(scope="module")
def dense(fresh, fit_model):
    return fit_model(fresh("paired"), network={"n_experts": 1, "top_k": 1})


def test_copies_say_what_the_dense_layer_says(dense):
    model = upcycled(dense, 4, 2)
    assert (model.config.n_experts, model.config.top_k) == (4, 2)
    np.testing.assert_allclose(
        model.get_latent_representation(), dense.get_latent_representation(), rtol=1e-4, atol=1e-4
    )


def test_copies_part_in_training_and_keep_the_split(dense):
    model = upcycled(dense, 4, 2)
    model.train(2, accelerator="cpu", enable_progress_bar=False)
    w1 = model.module.blocks[0].moe.experts.w1
    assert not torch.allclose(w1[0], w1[1])
    assert np.array_equal(model.train_indices, dense.train_indices)


def test_experts_are_not_upcycled_again(dense):
    with pytest.raises(ValueError, match="this model has n_experts=4"):
        upcycled(upcycled(dense, 4, 2), 8, 2)
