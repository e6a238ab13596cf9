import matplotlib.pyplot as plt
import numpy as np
import pytest
from mudata import read_h5mu

import scmoe.pl
from scmoe.datasets._write import write
from scmoe.explain import stability_table
from scmoe.io._quiet import quiet_mudata


@pytest.fixture
def compared(mdata):
    """Three models, of which the last is the first with other numbers."""
    rng = np.random.default_rng(0)
    first, second = ({m: rng.dirichlet(np.ones(3), size=(30, 1)) for m in ("rna", "adt")} for _ in range(2))
    models = {"a": first, "b": second, "c": {m: u[..., ::-1] for m, u in first.items()}}
    mdata.uns["scmoe"]["expert_stability"] = stability_table(models, n_permutations=99)
    return mdata


def test_dots_and_ticks_are_the_stored_values(compared):
    ax = scmoe.pl.expert_stability(compared)
    table = compared.uns["scmoe"]["expert_stability"].query("statistic == 'matched_correlation' and other == 'c'")
    table = table[table["model"] == "a"].sort_values("value", ascending=False)
    null, dots = (np.sort(found.get_offsets()[:, 0]) for found in ax.collections[5:7])
    np.testing.assert_allclose(dots, 1)
    np.testing.assert_allclose(null, np.sort(table["null_mean"]))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a\nand b", "a\nand c", "b\nand c"]
    assert {text.get_text() for text in ax.texts} >= {"0–2", "1–1", "2–0"}


def test_only_what_is_more_than_chance_is_filled(compared):
    ax = scmoe.pl.expert_stability(compared)
    random, planted = (ax.collections[i].get_facecolors() for i in (2, 6))
    assert (random == 1).all() and not (planted == 1).all(axis=1).any()


def test_draws_into_the_axes_given_and_saves(compared, tmp_path):
    _, ax = plt.subplots()
    assert scmoe.pl.expert_stability(compared, ax=ax, save=tmp_path / "a.png") is ax
    assert (tmp_path / "a.png").stat().st_size > 0


def test_is_drawn_from_a_file(compared, tmp_path):
    write(compared, tmp_path / "a.h5mu")
    with quiet_mudata():
        stored = read_h5mu(tmp_path / "a.h5mu")
    assert "3 models" in scmoe.pl.expert_stability(stored).get_title(loc="left")


def test_missing_table_names_the_function_to_run(mdata):
    with pytest.raises(KeyError, match=r"run scmoe.tl.expert_stability"):
        scmoe.pl.expert_stability(mdata)
