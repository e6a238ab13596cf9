"""Gradient conflict of a trained model."""

import numpy as np
import pytest
import torch

from scmoe.data._datamodule import MosaicDataModule
from scmoe.model._fitted import query
from scmoe.model.explain._conflict import teacher, training_batches

QUICK = {"n_batches": 3, "batch_size": 40}


def conflict(model, mdata, **kwargs):
    return model.get_gradient_conflict(mdata, **{**QUICK, **kwargs})


@pytest.mark.parametrize("definition", ["target", "source", "token"])
def test_modalities_of_a_mosaic(mosaic, trained_mosaic, definition):
    found = conflict(trained_mosaic, mosaic, definition=definition)
    assert found.names == ["rna", "adt", "ephys"]
    assert found.gram.shape == found.reference.shape == (3, 1, 4, 3, 3)
    assert (np.diagonal(found.gram.sum(2), axis1=-2, axis2=-1) > 0).all()


def test_tasks_are_compared_with_halves(paired, trained):
    found = conflict(trained, paired, definition="task")
    assert found.names == ["reconstruction", "router", "graph"]
    assert found.gram.shape == (3, 1, 4, 3, 3)
    assert found.reference.shape == (3, 1, 4, 2, 2)
    assert (found.gram[..., 1, 1] == 0).all()  # one block: the router's losses end before its experts


def test_weights_of_the_losses_are_those_given(paired, trained):
    found = conflict(trained, paired, definition="task", plan_kwargs={"graph_weight": 0.0})
    assert found.names == ["reconstruction", "router"]


def test_definitions_split_the_same_gradient(paired, trained):
    target, source = (conflict(trained, paired, definition=each).gram.sum((-1, -2)) for each in ("target", "source"))
    np.testing.assert_allclose(target, source, rtol=1e-4)
    token, task = (conflict(trained, paired, definition=each).gram.sum((-1, -2)) for each in ("token", "task"))
    np.testing.assert_allclose(token, task, rtol=1e-4)


def test_same_seed_same_result_and_the_model_unchanged(paired, trained):
    before = {name: value.clone() for name, value in trained.module.state_dict().items()}
    first, again, other = (conflict(trained, paired, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.gram, again.gram)
    assert not np.allclose(first.gram, other.gram)
    assert all(torch.equal(before[name], value) for name, value in trained.module.state_dict().items())
    assert all(parameter.grad is None for parameter in trained.module.parameters())


def test_batches_are_those_of_a_training(paired, trained):
    _, dataset, cells = query(trained, paired, None)
    graph = teacher(dataset, cells, 8, 0)
    data = MosaicDataModule(dataset, cells, cells[:0], batch_size=40, seed=5, graph=graph)
    drawn = training_batches(dataset, cells, graph, n_batches=5, batch_size=40, seed=5)
    loader = data.train_dataloader()
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        for expected, batch in zip(loader, drawn, strict=False):
            assert torch.equal(batch.values[0], expected.values[0])
            assert torch.equal(batch.similarity, expected.similarity)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"definition": "modality"}, "definition must be one of 'target', 'source', 'token', 'task'; found 'modality'"),
        ({"n_batches": 0}, "n_batches must be a whole number of at least 1"),
        ({"batch_size": 2}, "at least 16 cells; found 2"),
        ({"indices": range(5)}, "at least 16 cells; found 5"),
    ],
)
def test_bad_input(paired, trained, kwargs, match):
    with pytest.raises(ValueError, match=match):
        conflict(trained, paired, **kwargs)


def test_data_without_one_of_the_modalities_are_refused(paired, trained):
    del paired.mod["adt"]
    with pytest.raises(ValueError, match="None of the 120 cells has the modality 'adt'"):
        conflict(trained, paired)


def test_one_modality_has_no_conflict(single, fit_model):
    model = fit_model(single)
    with pytest.raises(ValueError, match="this model has 'rna' alone"):
        conflict(model, single)
