"""Expert usage of rare types and the balance loss, quick."""

import json

import numpy as np
import pandas as pd
import pytest

from scmoe.datasets._write import write
from scmoe.studies.imbalance._rare_experts import BALANCE_WEIGHTS, SCORES, annotated, run_rare_experts, usage_scores


@pytest.fixture(scope="module")
def result(fresh, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rare")
    write(fresh("raw"), folder / "raw.h5mu")
    content = run_rare_experts(folder / "out", data=folder / "raw.h5mu", quick=True)
    return content, folder / "out"


def test_each_weight_has_scores_and_a_table_of_usage(result):
    content, folder = result
    assert [row["balance_weight"] for row in content["rows"]] == list(BALANCE_WEIGHTS)
    assert all(set(SCORES) <= set(row) for row in content["rows"])
    assert {row["group"] for row in content["usage"]} == {"B", "NK", "T"}
    assert json.loads((folder / "rare_experts.json").read_text()) == content
    assert "tail recall" in (folder / "rare_experts.md").read_text()


def test_slopes_are_of_what_is_beyond_chance():
    table = pd.DataFrame(
        {
            "n_cells": [3, 10, 50, 90],
            "entropy": [1.0, 1.1, 1.2, 1.3],
            "null_entropy": [0.5, 0.7, 0.9, 1.1],
            "divergence": [0.4, 0.3, 0.2, 0.1],
            "null_divergence": [0.4, 0.28, 0.1, 0.0],
            "p": [0.01, 0.2, 0.04, 0.5],
        }
    )
    assert usage_scores(table) == {
        "entropy_slope": pytest.approx(-1),
        "divergence_slope": pytest.approx(0.9487, abs=1e-3),
        "p_below": 0.5,
    }


def test_a_cell_is_labeled_by_an_annotator_that_has_not_seen_it():
    """Labels without any pattern are not found, though a view of one column a cell could hold them by heart."""
    types = pd.Series(np.random.default_rng(0).choice(["a", "b"], 60))
    assert annotated([np.eye(60)], types, seed=0)["accuracy"] < 0.75


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [({"seeds": []}, ValueError, "must name at least one"), ({"labels": "kind"}, KeyError, "'kind' is not a column")],
)
def test_errors(tmp_path, kwargs, error, match):
    with pytest.raises(error, match=match):
        run_rare_experts(tmp_path, **kwargs)
