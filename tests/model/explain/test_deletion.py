"""Deletion tests and the baseline that they stand beside."""

import numpy as np
import pytest
import torch

from scmoe.model._fitted import query
from scmoe.model.explain import _attribution
from scmoe.model.explain._deletion import RANKINGS, SHARES, without_top
from scmoe.model.explain._targets import Target


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_the_top_features_of_a_cell_are_set_to_the_mean(mosaic, trained_mosaic, share):
    fitted, dataset, cells = query(trained_mosaic, mosaic, None)
    (reading,) = fitted.read(dataset, cells, 120)
    scores = [torch.rand_like(x) for x in reading.z]
    [kept] = without_top(scores, reading, [share])
    presence = reading.batch.presence
    full_score, full_kept, full_z = (
        torch.cat([presence.scatter(x, v) for v, x in enumerate(parts)], 1).numpy()
        for parts in (scores, kept, reading.z)
    )
    here = np.repeat(presence.mask.numpy(), [x.shape[1] for x in reading.z], axis=1)
    for cell in range(120):
        there = np.flatnonzero(here[cell])
        gone = there[np.argsort(-full_score[cell, there])][: int(np.round(share * len(there)))]
        expected = full_z[cell].copy()
        expected[gone] = 0
        np.testing.assert_array_equal(full_kept[cell], expected)


def test_of_a_linear_target_takes_the_largest_terms_first(paired, trained):
    slopes = np.random.default_rng(0).normal(size=60).astype(np.float32)
    target = Target(name="linear", unit="1", values=lambda chunk: chunk.z[0] @ torch.from_numpy(slopes))
    baseline = {"rna": slopes, "adt": np.zeros(12, np.float32)}
    found = trained.get_deletion(target, baseline, paired, n_steps=1)
    assert found.shape == (120, len(RANKINGS), len(SHARES))
    np.testing.assert_allclose(found[:, 0], found[:, 1], atol=1e-4)  # the baseline knows the truth here
    z = trained.get_activations("input", paired)[:, :60]
    terms = -np.sort(-np.hstack([z * slopes, np.zeros((120, 12))]), axis=1)
    for j, share in enumerate(SHARES):
        np.testing.assert_allclose(found[:, 0, j], terms[:, round(share * 72) :].sum(1), atol=1e-3)


def test_attributions_find_what_a_label_rests_on(paired, trained):
    target = trained.label_target("T")
    own = (paired.obs["cell_type"] == "T").to_numpy()
    slopes = {"rna": np.zeros(60), "adt": np.zeros(12)}
    mean = trained.get_deletion(target, slopes, paired, np.flatnonzero(own)).mean(0)
    assert mean[0, 0] == pytest.approx(mean[2, 0])
    assert (mean[0, 1:] < mean[2, 1:]).all()


def test_ranking_has_its_share_of_the_memory(paired, trained, monkeypatch):
    asked = []
    within = _attribution.cells_within
    monkeypatch.setattr(
        _attribution, "cells_within", lambda fitted, memory: asked.append(memory) or within(fitted, memory)
    )
    slopes = {name: np.zeros(len(names)) for name, names in trained.feature_names.items()}
    trained.get_deletion(trained.label_target("T"), slopes, paired, [0, 1], n_steps=1, max_memory=1e8)
    assert asked == [5e7]
