"""Backbones and the networks drawn on them."""

import numpy as np
import pytest

from scmoe.datasets.grn._network import BACKBONES, MAX_REGULATORS, build_network


@pytest.mark.parametrize("name", BACKBONES)
def test_edges_start_at_factors_and_follow_the_backbone(name: str) -> None:
    backbone = BACKBONES[name]
    network = build_network(backbone, 60, np.random.default_rng(0))
    assert len(network.genes) == 60 and network.genes["gene"].is_unique
    assert network.regulator.max() < network.n_tfs
    module = network.genes["module"].to_numpy()
    between = {
        (module[i], module[j], k) for i, j, k in zip(network.regulator, network.target, network.sign, strict=True)
    }
    assert {edge for edge in between if edge[1]} == set(backbone.edges)
    role = network.genes["role"].to_numpy()
    n_regulators = np.bincount(network.target, minlength=60)
    assert set(n_regulators[role == "target"]) == set(range(1, MAX_REGULATORS + 1))
    assert not n_regulators[role == "housekeeping"].any() and (role == "housekeeping").any()
    both = network.activates.sum(axis=0), network.represses.sum(axis=0)
    np.testing.assert_allclose(both[0][both[0] > 0], 1)
    assert both[1].sum() == (network.sign < 0).sum()


def test_disconnected_groups_share_no_regulator() -> None:
    network = build_network(BACKBONES["disconnected"], 100, np.random.default_rng(0))
    left = np.isin(network.genes["module"].str[0].to_numpy()[network.regulator], list("ABC"))
    assert left.any() and not left.all()
    assert not set(network.target[left]) & set(network.target[~left])


def test_fewer_genes_than_factors_are_refused() -> None:
    with pytest.raises(ValueError, match="n_features must be at least 24, since this backbone has 12 modules of 2"):
        build_network(BACKBONES["disconnected"], 23, np.random.default_rng(0))
    assert len(build_network(BACKBONES["cyclic"], 12, np.random.default_rng(0)).genes) == 12
