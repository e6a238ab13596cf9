import pandas as pd
import pytest
from mudata import read_h5mu

import scmoe
from scmoe.datasets._write import write
from scmoe.io._quiet import quiet_mudata


@pytest.fixture(scope="module")
def models(fresh, fit_model, trained_mosaic):
    return {"seed 0": trained_mosaic, "seed 1": fit_model(fresh("mosaic"), seed=1)}


def test_writes_the_table_only(mosaic, models, contents, written):
    before = contents(mosaic)
    scmoe.tl.expert_stability(mosaic, models, key_added="a")
    assert written(before, mosaic) == {"uns/a/expert_stability"}
    table = mosaic.uns["a"]["expert_stability"]
    assert set(table["model"]) == {"seed 0", "seed 1"} and table.notna().all(axis=None)


def test_a_model_matches_itself(mosaic, trained_mosaic):
    scmoe.tl.expert_stability(mosaic, {"a": trained_mosaic, "b": trained_mosaic}, n_permutations=20)
    table = mosaic.uns["scmoe"]["expert_stability"].query("statistic == 'matched_correlation'")
    assert (table["first"] == table["second"]).all()
    assert table["value"].to_list() == pytest.approx([1.0] * 4)


def test_table_survives_a_file(mosaic, models, tmp_path):
    scmoe.tl.expert_stability(mosaic, models, n_permutations=20)
    write(mosaic, tmp_path / "a.h5mu")
    with quiet_mudata():
        stored = read_h5mu(tmp_path / "a.h5mu").uns["scmoe"]["expert_stability"]
    pd.testing.assert_frame_equal(
        stored, mosaic.uns["scmoe"]["expert_stability"], check_dtype=False, check_categorical=False
    )


def test_models_must_have_names(mosaic, models):
    with pytest.raises(TypeError, match="models must be a dict; found a list"):
        scmoe.tl.expert_stability(mosaic, list(models.values()))


def test_one_model_is_not_enough(mosaic, trained_mosaic):
    with pytest.raises(ValueError, match="at least two models; found a"):
        scmoe.tl.expert_stability(mosaic, {"a": trained_mosaic})
