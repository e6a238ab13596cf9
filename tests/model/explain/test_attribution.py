"""Attributions against functions whose attributions are known, and against planted structure."""

import weakref

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from scmoe.model._fitted import Fitted, query
from scmoe.model.explain._attribution import target_value
from scmoe.model.explain._targets import Target


@pytest.fixture(scope="module")
def dense(fresh, fit_model):
    """One expert: no choice of experts, hence no jumps."""
    setup = {"labels_key": "cell_type", "batch_key": "batch"}
    return fit_model(fresh("paired"), setup=setup, network={"n_experts": 1, "top_k": 1}, max_epochs=15)


def linear_target(slopes):
    """z_rna · slopes, 0 where there is no RNA."""

    def values(chunk):
        return chunk.batch.presence.scatter(chunk.z[0] @ torch.from_numpy(slopes), 0)

    return Target(name="linear", unit="1", values=values)


def inputs(model, mdata):
    fitted, dataset, cells = query(model, mdata, None)
    (reading,) = fitted.read(dataset, cells, len(cells))
    return reading


@pytest.mark.parametrize("method", ["integrated_gradients", "gradient_input"])
def test_of_a_linear_target_are_slope_times_value(mosaic, trained_mosaic, method):
    slopes = np.random.default_rng(0).normal(size=60).astype(np.float32)
    found = trained_mosaic.get_attributions(linear_target(slopes), mosaic, method=method, n_steps=3)
    reading = inputs(trained_mosaic, mosaic)
    here = reading.batch.presence.mask[:, 0].numpy()
    np.testing.assert_allclose(found["rna"][here], reading.z[0].numpy() * slopes, atol=1e-5)
    assert np.isnan(found["rna"][~here]).all()
    assert not np.nan_to_num(found["adt"]).any()


def test_add_up_to_the_difference_from_the_mean_cell(paired, dense):
    target = dense.label_target("T")
    found = dense.get_attributions(target, paired, n_steps=64)
    reading = inputs(dense, paired)
    value = target_value(dense.fitted, target, reading) - target_value(
        dense.fitted, target, reading._replace(z=[0 * x for x in reading.z])
    )
    total = sum(values.sum(1) for values in found.values())
    np.testing.assert_allclose(total, value, rtol=0.03, atol=0.05)
    assert dense.get_mean_attributions(target, paired, n_steps=64).explained == pytest.approx(1, abs=0.01)


def test_gradient_input_is_the_input_times_its_gradient(paired, trained):
    target = trained.label_target("B")
    found = trained.get_attributions(target, paired, method="gradient_input")
    activation, gradient = trained.get_activations("input", paired), trained.get_gradients(target, "input", paired)
    np.testing.assert_allclose(np.hstack(list(found.values())), activation * gradient, atol=1e-5)


def test_means_are_those_of_the_cells(mosaic, trained_mosaic):
    target = trained_mosaic.feature_target("rna", "adt", "protein1")
    each = trained_mosaic.get_attributions(target, mosaic)
    mean = trained_mosaic.get_mean_attributions(target, mosaic, max_memory=4e5)
    np.testing.assert_allclose(mean.signed["rna"], np.nansum(each["rna"], 0) / 120, atol=1e-5)
    np.testing.assert_allclose(mean.absolute["rna"], np.nansum(np.abs(each["rna"]), 0) / 120, atol=1e-5)
    z, a = inputs(trained_mosaic, mosaic).z[0].numpy(), each["rna"][np.isfinite(each["rna"]).all(1)]
    np.testing.assert_allclose(mean.slope["rna"], (z * a).sum(0) / (z * z).sum(0), atol=1e-4)
    assert np.isnan(each["adt"]).all() and not mean.absolute["adt"].any()  # the target is not looked at


@pytest.mark.parametrize("type_", ["B", "NK", "T"])
def test_a_type_is_attributed_to_its_own_features(paired, trained, type_):
    k = ["B", "NK", "T"].index(type_)
    cells = np.flatnonzero(paired.obs["cell_type"] == type_)
    mean = trained.get_mean_attributions(trained.label_target(type_), paired, cells)
    for values in mean.signed.values():
        first = np.argsort(-values)[: len(values) // 3]
        assert (first % 3 == k).mean() >= 0.75  # by chance, a third


@pytest.mark.parametrize("type_", ["B", "NK", "T"])
def test_levels_are_means_in_standard_deviations_of_the_cells_that_have_a_modality(paired, trained, type_):
    cells = np.flatnonzero(paired.obs["cell_type"] == type_)
    level = trained.get_mean_attributions(trained.label_target(type_), paired, cells, n_steps=2).level
    rna = paired["rna"].X.toarray()
    training = rna[trained.train_indices]
    expected = (rna[cells].mean(axis=0) - training.mean(axis=0)) / training.std(axis=0)
    assert np.corrcoef(level["rna"], expected)[0, 1] > 0.999
    own = np.arange(60) % 3 == ["B", "NK", "T"].index(type_)
    assert (level["rna"][own] > 0).all() and level["rna"][~own].mean() < 0


def test_a_protein_is_attributed_to_the_genes_of_its_type(paired, trained):
    mean = trained.get_mean_attributions(trained.feature_target("rna", "adt", "protein4"), paired)
    slope = mean.slope["rna"]
    assert (np.argsort(-slope)[:10] % 3 == 1).sum() >= 8  # of 20 among 60 genes


def test_memory_bounds_the_cells_of_a_pass(paired, trained, monkeypatch):
    target, seen = trained.label_target("B"), []
    whole = trained.get_attributions(target, paired, n_steps=2)
    read = Fitted.read

    def spy(self, dataset, cells, batch_size, only):
        seen.append(batch_size)
        return read(self, dataset, cells, batch_size, only)

    monkeypatch.setattr(Fitted, "read", spy)
    bounded = trained.get_attributions(target, paired, n_steps=2, max_memory=4e5)
    assert 1 <= seen[0] < 120
    for name, values in whole.items():
        np.testing.assert_allclose(bounded[name], values, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "shap"}, "method must be one of 'integrated_gradients', 'gradient_input'; found 'shap'"),
        ({"n_steps": 0}, "n_steps must be a whole number of at least 1"),
        ({"max_memory": 1e4}, "more than max_memory=1e-05 GB. Ask for fewer cells"),
        ({"max_memory": 4e4}, "One cell takes about"),
    ],
)
def test_bad_arguments(paired, trained, arguments, message):
    with pytest.raises(ValueError, match=message):
        trained.get_attributions(trained.label_target("B"), paired, **arguments)


def test_no_cell_to_explain(paired, trained):
    with pytest.raises(ValueError, match="no cell to explain 'B' in"):
        trained.get_mean_attributions(trained.label_target("B"), paired, [])


class LiveTensors(TorchDispatchMode):
    """Bytes of the tensors that operations inside the context made and that are still there, at their most."""

    def __init__(self):
        super().__init__()
        self.live, self.peak, self.seen = 0, 0, set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor) and (key := leaf.untyped_storage()._cdata) not in self.seen:
                self.seen.add(key)
                self.live += leaf.untyped_storage().nbytes()
                self.peak = max(self.peak, self.live)
                weakref.finalize(leaf.untyped_storage(), self.forget, key, leaf.untyped_storage().nbytes())
        return out

    def forget(self, key, size):
        self.seen.discard(key)
        self.live -= size


@pytest.mark.parametrize("name", ["label", "group", "feature"])
def test_tensors_stay_within_the_stated_memory(paired, trained, name):
    target = {
        "label": lambda: trained.label_target("B"),
        "group": lambda: trained.group_targets(paired.obs["cell_type"], paired)["B"],
        "feature": lambda: trained.feature_target("rna", "adt", "protein1"),
    }[name]()
    cells = np.tile(np.arange(120), 5)
    for bound in (5e5, 2e6):
        with LiveTensors() as tensors:
            trained.get_mean_attributions(target, paired, cells, n_steps=2, max_memory=bound)
        assert 0.1 * bound < tensors.peak < bound
