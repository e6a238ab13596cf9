"""The comparison with SHAP asks all methods the same, and counts what they do."""

import numpy as np
import pytest
import torch

from scmoe.studies.explain._shap import compare_methods, shap_markdown
from scmoe.studies.explain._shap_methods import METHODS, N_BACKGROUND, N_REPEATS, Flat, Question, ask, shap_kernel

pytest.importorskip("shap")


@pytest.fixture
def question(paired, trained):
    own = np.flatnonzero(paired.obs["cell_type"] == "T")
    return Question(model=trained, mdata=paired, label="T", cells=own[:1], background=np.arange(120), seed=0)


def test_passes_are_counted(question):
    answer = ask(question, "permutation (arbiter)")
    assert (answer.passes.forward, answer.passes.backward) == (1 + 2 * N_REPEATS, 0)
    answer = ask(question, "gradient × input")
    assert (answer.passes.forward, answer.passes.backward) == (1, 1)
    assert "encode" not in vars(question.model.module)


def test_the_function_that_shap_sees_is_the_log_odds(question, paired, trained):
    reading = question.read(question.cells)
    flat = Flat(question, reading)
    x = torch.cat(reading.z, 1)
    p = trained.predict(paired, soft=True)["T"].iloc[question.cells[0]]
    log_odds = flat.predict(x.repeat(3, 1).numpy())
    np.testing.assert_allclose(1 / (1 + np.exp(-log_odds)), [p] * 3, atol=1e-5)


def test_kernel_shap_adds_up_to_the_difference_from_the_background(question):
    reading = question.read(question.cells)
    flat, background = Flat(question, reading), question.read(question.background[:N_BACKGROUND])
    expected = flat.predict(torch.cat(reading.z, 1).numpy()) - flat.predict(torch.cat(background.z, 1).numpy()).mean()
    np.testing.assert_allclose(shap_kernel(question).features.sum(), expected[0], rtol=1e-3)


def test_all_methods_answer(paired, trained):
    result = compare_methods(trained, paired, 0, quick=True)
    assert [row["method"] for row in result["methods"]] == list(METHODS)
    arbiter = result["methods"][0]
    assert arbiter["agreement_modalities"] == pytest.approx(1)
    assert all(row["seconds"] > 0 and row["forward"] > 0 for row in result["methods"])
    assert all(np.shape(values) == (2, 2) for values in result["importance"].values())
    result["settings"]["data"] = "simulated"
    assert "| SHAP, kernel |" in shap_markdown(result)


def test_needs_two_large_labels(paired, trained):
    few = paired[np.flatnonzero(paired.obs["cell_type"] == "T")].copy()
    with pytest.raises(ValueError, match="two labels with 30 cells; found 1"):
        compare_methods(trained, few, 0, quick=True)
