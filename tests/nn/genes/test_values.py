"""Embeddings of values: the worked numbers of the specification, and what bins round."""

import pytest
import torch

from scmoe.nn.genes._config import GeneConfig
from scmoe.nn.genes._encoder import make_value_embedding
from scmoe.nn.genes._values import AutoDiscretization, BinnedValue, LinearValue, code_boundaries

WORKED = {
    0.0: ([0.228143, 0.253348, 0.263674, 0.254835], [0.003016, -0.231747, -0.409770]),
    1.99: ([0.235513, 0.251920, 0.175868, 0.336699], [-0.034890, -0.231697, -0.371776]),
    2.01: (None, [-0.035632, -0.232057, -0.371667]),
    5.0: ([0.214935, 0.217433, 0.095132, 0.472500], None),
}


@pytest.fixture
def worked() -> AutoDiscretization:
    """The specification's example: 4 bins of width 3."""
    module = AutoDiscretization(4, 3)
    r, c = torch.arange(4.0), torch.arange(3.0)
    with torch.no_grad():
        module.first.weight.copy_(r.cos()[:, None])
        module.first.bias.copy_(0.1 * r.sin())
        module.second.weight.copy_((0.3 * r[:, None] - 0.8 * r).sin())
        module.second.bias.zero_()
        module.table.copy_((r[:, None] + 0.5 * c).cos())
    return module


@pytest.mark.parametrize("value", WORKED)
def test_worked_numbers(worked, value):
    weights, vector = WORKED[value]
    if weights is not None:
        torch.testing.assert_close(worked.weights(torch.tensor(value)), torch.tensor(weights), atol=1e-6, rtol=0)
    if vector is not None:
        torch.testing.assert_close(worked(torch.tensor(value)), torch.tensor(vector), atol=2e-6, rtol=0)


def test_near_values_are_embedded_nearly_alike(worked):
    gaps = torch.tensor([0.0, 0.02, 0.04, 0.08, 0.16])
    for start in (0.0, 0.99, 1.99, 4.0):
        distance = (worked(start + gaps) - worked(torch.tensor(start))).norm(dim=-1)
        assert (distance.diff() > 0).all()
        assert distance[1] < 0.01 * worked.table.norm(dim=1).max()


def test_values_of_any_shape_are_embedded_one_by_one(worked):
    values = torch.rand(2, 3)
    found = worked(values)
    assert found.shape == (2, 3, 3)
    for b in range(2):
        for i in range(3):
            torch.testing.assert_close(found[b, i], worked(values[b, i]))


def test_a_linear_value_is_a_line():
    module = LinearValue(4)
    zero, one = module(torch.tensor(0.0)), module(torch.tensor(1.0))
    torch.testing.assert_close(module(torch.tensor(7.5)), zero + 7.5 * (one - zero))


@pytest.mark.parametrize(
    ("kind", "values", "bins"),
    [
        ("round", [0.0, 0.4, 0.6, 1.4, 1.6, 9.2], [0, 0, 1, 1, 2, 9]),
        ("up", [0.0, 0.01, 1.0, 1.01, 2.5, 9.2], [0, 1, 1, 2, 3, 10]),
    ],
)
def test_bins_of_whole_numbers(kind, values, bins):
    module = make_value_embedding(GeneConfig(value_embedding=kind), None)
    assert module.bin(torch.tensor(values)).tolist() == bins
    torch.testing.assert_close(module(torch.tensor(values)), module.table[bins])


def test_each_code_has_a_vector_of_its_own():
    module = BinnedValue(code_boundaries(6), 3)
    assert len(module.table) == 6
    assert module.bin(torch.arange(6.0)).tolist() == list(range(6))


@pytest.mark.parametrize(
    ("n_codes", "kind", "expected"),
    [(None, "auto", AutoDiscretization), (None, "linear", LinearValue), (None, "equal", BinnedValue)],
)
def test_the_setting_chooses_the_module(n_codes, kind, expected):
    module = make_value_embedding(GeneConfig(value_embedding=kind, n_bins=7), n_codes)
    assert type(module) is expected and module(torch.tensor([0.0, 1.5])).shape == (2, 64)
    if kind != "linear":
        assert len(module.table) == 7
