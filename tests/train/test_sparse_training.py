"""A step on sparse rows is the step on dense values."""

import numpy as np
import pytest
import torch

import scmoe
from scmoe.data._dataset import MosaicDataset
from scmoe.data.sparse._rows import SparseRows
from scmoe.model._training import prepare_network
from scmoe.studies.scale._data import simulate_cells
from scmoe.train._config import TrainConfig
from scmoe.train._objective import objective


@pytest.fixture(scope="module")
def model() -> scmoe.model.SCMOE:
    mdata = simulate_cells(120, 60, 10, seed=0)
    mdata.mod["rna"].X.data[::2] = 0  # so that few values are not zero
    mdata.mod["rna"].X.eliminate_zeros()
    scmoe.pp.prepare(mdata)
    scmoe.model.SCMOE.setup_mudata(mdata, batch_key="batch")
    model = scmoe.model.SCMOE(mdata, feature_dropout=0.0, n_programs=8, n_hidden=16, n_heads=2, expert_hidden=16)
    prepare_network(model, model._dataset(None), np.arange(100), TrainConfig())
    return model


def losses_and_gradients(model: scmoe.model.SCMOE, *, training: bool, sparse: bool) -> list[torch.Tensor]:
    network, dataset = model.module.train(training), MosaicDataset(model.adata, model.setup)
    batch = dataset.read(np.arange(0, 120, 2), network.sparse_inputs if sparse else ())
    assert isinstance(batch.values[model.modalities.index("rna")], SparseRows) == sparse
    network.zero_grad()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        losses = objective(network, batch, TrainConfig())
    losses["loss"].backward()
    gradients = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    return [*(value.detach() for value in losses.values()), *gradients]


@pytest.mark.parametrize("training", [True, False])
def test_losses_and_gradients_equal_those_of_dense_values(model, training):
    of_sparse, of_dense = (losses_and_gradients(model, training=training, sparse=sparse) for sparse in (True, False))
    assert len(of_sparse) == len(of_dense) > 10
    for own, other in zip(of_sparse, of_dense, strict=True):
        torch.testing.assert_close(own, other, atol=2e-5, rtol=1e-3)


def test_only_what_is_asked_for_products_alone_is_read_as_sparse_rows(model):
    patches = scmoe.model.SCMOE(model.adata, tokenizer="patch", n_hidden=16, n_heads=2)
    assert model.module.sparse_inputs == [0, 1]
    assert patches.module.sparse_inputs == []
