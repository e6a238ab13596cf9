import matplotlib.pyplot as plt
import mudata
import numpy as np
import pandas as pd
import pytest

import scmoe
from scmoe.io._quiet import quiet_mudata


def test_writes_all_cells_and_those_of_the_target(mosaic, trained_mosaic, contents, written):
    before = contents(mosaic)
    scmoe.tl.impute(mosaic, trained_mosaic, source="rna", target="adt", key_added="a")
    keys = ("a_adt_from_rna",)
    assert written(before, mosaic) == {f"{where}/{key}" for where in ("obsm", "mod/adt/layers") for key in keys}


def test_several_sources_are_joined_in_the_key(mosaic, trained_mosaic, contents, written):
    before = contents(mosaic)
    scmoe.tl.impute(mosaic, trained_mosaic, source=["rna", "ephys"], target="adt")
    key = "scmoe_adt_from_rna+ephys"
    keys = (key,)
    assert written(before, mosaic) == {f"{where}/{key}" for where in ("obsm", "mod/adt/layers") for key in keys}


def test_frame_and_layer_hold_the_model_s_prediction(mosaic, trained_mosaic):
    scmoe.tl.impute(mosaic, trained_mosaic, source="ephys", target="rna")
    frame = mosaic.obsm["scmoe_rna_from_ephys"]
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == list(mosaic["rna"].var_names) and list(frame.index) == list(mosaic.obs_names)
    np.testing.assert_array_equal(frame, trained_mosaic.impute("ephys", "rna", mosaic))
    layer = pd.DataFrame(mosaic["rna"].layers["scmoe_rna_from_ephys"], mosaic["rna"].obs_names, frame.columns)
    pd.testing.assert_frame_equal(layer, frame.loc[mosaic["rna"].obs_names])


def test_standard_deviations_stand_beside_the_values(mosaic, trained_mosaic):
    scmoe.tl.impute(mosaic, trained_mosaic, source="ephys", target="rna", sd=True)
    sd = trained_mosaic.impute("ephys", "rna", mosaic, return_sd=True)[1]
    frame = mosaic.obsm["scmoe_rna_from_ephys_sd"]
    np.testing.assert_array_equal(frame, sd)
    assert list(frame.columns) == list(mosaic["rna"].var_names)
    np.testing.assert_array_equal(mosaic["rna"].layers["scmoe_rna_from_ephys_sd"], frame.loc[mosaic["rna"].obs_names])


def test_ends_of_intervals_are_written_if_asked_for(mosaic, trained_mosaic, contents, written):
    before = contents(mosaic)
    scmoe.tl.impute(mosaic, trained_mosaic, source="ephys", target="rna", sd=True, interval=True)
    key = "scmoe_rna_from_ephys"
    keys = (key, f"{key}_sd", f"{key}_lower", f"{key}_upper")
    assert written(before, mosaic) == {f"{where}/{name}" for where in ("obsm", "mod/rna/layers") for name in keys}
    ends = trained_mosaic.impute("ephys", "rna", mosaic, return_interval=True)[1:]
    for name, end in zip(keys[2:], ends, strict=True):
        np.testing.assert_array_equal(mosaic.obsm[name], end)


def test_ends_of_an_earlier_call_do_not_stay_beside_new_predictions(mosaic, trained_mosaic, contents):
    scmoe.tl.impute(mosaic, trained_mosaic, source="ephys", target="rna")
    before = contents(mosaic)
    scmoe.tl.impute(mosaic, trained_mosaic, source="ephys", target="rna", interval=True)
    assert contents(mosaic) != before
    scmoe.tl.impute(mosaic, trained_mosaic, source="ephys", target="rna")
    assert contents(mosaic) == before


def test_ends_of_somebody_else_stay(mosaic, trained_mosaic):
    own = np.arange(mosaic.n_obs)[:, None]
    mosaic.obsm["scmoe_rna_from_ephys_lower"] = own
    scmoe.tl.impute(mosaic, trained_mosaic, source="ephys", target="rna")
    np.testing.assert_array_equal(mosaic.obsm["scmoe_rna_from_ephys_lower"], own)


def test_cells_can_be_predicted_as_of_another_batch(paired, trained):
    scmoe.tl.impute(paired, trained, source="rna", target="adt", transform_batch=["donor1", "donor2"])
    expected = trained.impute("rna", "adt", paired, transform_batch=["donor1", "donor2"])
    np.testing.assert_array_equal(paired.obsm["scmoe_adt_from_rna"], expected)


def test_the_layer_follows_the_order_of_the_query_s_features(paired, trained):
    order = np.random.default_rng(0).permutation(12)
    paired.mod["adt"] = paired["adt"][:, order].copy()
    with quiet_mudata():
        paired.update()
    scmoe.tl.impute(paired, trained, source="rna", target="adt")
    frame, adt = paired.obsm["scmoe_adt_from_rna"], paired["adt"]
    expected = frame.loc[adt.obs_names, adt.var_names].to_numpy()
    np.testing.assert_array_equal(adt.layers["scmoe_adt_from_rna"], expected)


def test_a_target_that_the_query_lacks(single, trained):
    scmoe.tl.impute(single, trained, source="rna", target="adt")
    assert single.obsm["scmoe_adt_from_rna"].shape == (120, 12)
    assert list(single.mod) == ["rna"]


@pytest.fixture
def slashes(paired, fit_model):
    """Predictions of proteins with ``/`` in their names, which files allow in no column."""
    paired["adt"].var_names = ["HLA-A/B/C", "CD16", "CD16/32", "CD16_32", *paired["adt"].var_names[4:]]
    with quiet_mudata():
        paired.update()
    scmoe.tl.impute(paired, fit_model(paired), source="rna", target="adt")
    return paired


@pytest.mark.parametrize("form", ["h5mu", "zarr"])
def test_features_with_slashes_survive_a_file(slashes, tmp_path, form):
    with quiet_mudata():
        getattr(slashes, f"write_{form}")(tmp_path / "data")
        back = getattr(mudata, f"read_{form}")(tmp_path / "data")
    pd.testing.assert_frame_equal(back.obsm["scmoe_adt_from_rna"], slashes.obsm["scmoe_adt_from_rna"])


def test_features_with_slashes_can_be_drawn(slashes):
    figure = scmoe.pl.imputed(slashes, source="rna", target="adt", features=["HLA-A/B/C"], show=False)
    assert figure.axes[0].get_title().startswith("HLA-A/B/C")
    plt.close(figure)


def test_a_choice_of_features_has_the_values_that_all_have(mosaic, trained_mosaic, contents, written):
    before, names = contents(mosaic), list(mosaic["rna"].var_names[[7, 2]])
    scmoe.tl.impute(mosaic, trained_mosaic, source="ephys", target="rna", features=names, sd=True)
    assert written(before, mosaic) == {"obsm/scmoe_rna_from_ephys", "obsm/scmoe_rna_from_ephys_sd"}
    mean, sd = trained_mosaic.impute("ephys", "rna", mosaic, return_sd=True)
    for key, values in (("scmoe_rna_from_ephys", mean), ("scmoe_rna_from_ephys_sd", sd)):
        assert list(mosaic.obsm[key].columns) == names
        np.testing.assert_array_equal(mosaic.obsm[key], values[:, [7, 2]])
    np.testing.assert_array_equal(trained_mosaic.impute("ephys", "rna", mosaic, features=[7, 2]), mean[:, [7, 2]])


def test_a_layer_of_all_features_does_not_stay_beside_some(mosaic, trained_mosaic):
    scmoe.tl.impute(mosaic, trained_mosaic, source="ephys", target="rna")
    scmoe.tl.impute(mosaic, trained_mosaic, source="ephys", target="rna", features=[0])
    assert "scmoe_rna_from_ephys" not in mosaic["rna"].layers


def test_unknown_features_are_named(mosaic, trained_mosaic):
    with pytest.raises(KeyError, match="features names 1 features of 'rna' that are not there, the first is 'XYZ'"):
        scmoe.tl.impute(mosaic, trained_mosaic, source="ephys", target="rna", features=["XYZ"])


@pytest.mark.parametrize("call", ["tl", "model", "normalized"])
def test_what_memory_would_not_hold_is_refused(mosaic, trained_mosaic, contents, monkeypatch, call):
    monkeypatch.setattr("scmoe.io._memory.free_memory", lambda: 4 * 3 * mosaic.n_obs)
    before = contents(mosaic)
    with pytest.raises(ValueError, match="of memory are free. .*=\\[...\\]"):
        if call == "tl":
            scmoe.tl.impute(mosaic, trained_mosaic, source="ephys", target="rna")
        elif call == "model":
            trained_mosaic.impute("ephys", "rna", mosaic)
        else:
            trained_mosaic.get_normalized("rna", mosaic)
    assert contents(mosaic) == before
    assert trained_mosaic.impute("ephys", "rna", mosaic, features=[0, 1, 2]).shape == (mosaic.n_obs, 3)


def test_one_array_where_all_cells_have_the_target(paired, trained):
    scmoe.tl.impute(paired, trained, source="adt", target="rna")
    key = "scmoe_rna_from_adt"
    assert np.shares_memory(paired.obsm[key].to_numpy(), paired["rna"].layers[key])
