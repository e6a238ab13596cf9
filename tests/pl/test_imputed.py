import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from mudata import MuData
from scipy.sparse import csr_matrix
from scipy.stats import pearsonr

import scmoe.pl
from scmoe.io._quiet import quiet_mudata

PAIR = {"source": "rna", "target": "adt"}


def points(figure, panel=0) -> np.ndarray:
    (dots,) = (each for each in figure.axes[panel].collections if isinstance(each, PathCollection))
    return np.asarray(dots.get_offsets())


def test_draws_prediction_against_observation(mdata):
    figure = scmoe.pl.imputed(mdata, **PAIR, features=["CD8a", "CD19"])
    drawn = points(figure, panel=1)
    np.testing.assert_allclose(drawn[:, 0], mdata["adt"][:, "CD19"].X.ravel())
    np.testing.assert_allclose(drawn[:, 1], mdata["adt"][:, "CD19"].layers["scmoe_adt_from_rna"].ravel())


def test_without_features_they_go_from_the_best_to_the_worst(mdata):
    figure = scmoe.pl.imputed(mdata, **PAIR)
    r = [pearsonr(*points(figure, panel).T)[0] for panel in range(5)]
    assert r == sorted(r, reverse=True) and len({ax.get_title() for ax in figure.axes[:5]}) == 5


def test_units_are_those_of_the_preparation(mdata):
    assert scmoe.pl.imputed(mdata, **PAIR, features="CD4").get_supxlabel() == "observed adt: units of X"
    mdata.uns["scmoe"]["prepare"] = {"adt": {"steps": np.array(["log1p", "minus the cell's mean"], object)}}
    figure = scmoe.pl.imputed(mdata, **PAIR, features="CD4")
    assert figure.get_supxlabel() == "observed adt: log1p, minus the cell's mean"
    mdata["adt"].layers["raw"] = mdata["adt"].X.copy()
    assert scmoe.pl.imputed(mdata, **PAIR, features="CD4", layer="raw").get_supxlabel() == "observed adt: layer raw"


def test_stored_standard_deviations_are_drawn(mdata):
    sd = np.random.default_rng(1).random((20, 5))
    mdata["adt"].layers["scmoe_adt_from_rna_sd"] = sd
    figure = scmoe.pl.imputed(mdata, **PAIR, features="CD4", cells="held_out")
    (bars,) = (each for each in figure.axes[0].collections if isinstance(each, LineCollection))
    lengths = [np.ptp(segment[:, 1]) for segment in bars.get_segments()]
    np.testing.assert_allclose(lengths, 2 * sd[::2, 1])
    assert figure.get_supylabel().endswith("± 1 sd")


def test_title_gives_pearson(mdata):
    figure = scmoe.pl.imputed(mdata, **PAIR, features="CD4")
    assert f"r = {pearsonr(*points(figure).T)[0]:.2f}" in figure.axes[0].get_title()


@pytest.mark.parametrize("cells", ["held_out", None])
def test_only_cells_with_the_target(mdata, cells):
    figure = scmoe.pl.imputed(mdata, **PAIR, features="CD4", cells=cells)
    assert len(points(figure)) == (20 if cells is None else 10)


def test_cells_are_matched_by_name(mdata):
    expected = points(scmoe.pl.imputed(mdata, **PAIR, features="CD4"))
    mdata.mod["adt"] = mdata["adt"][::-1].copy()
    with quiet_mudata():
        mdata.update()
    drawn = points(scmoe.pl.imputed(mdata, **PAIR, features="CD4"))
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(expected, axis=0))
    assert pearsonr(*drawn.T)[0] == pytest.approx(pearsonr(*expected.T)[0])


def test_observed_layer_may_be_sparse(mdata):
    mdata["adt"].layers["counts"] = csr_matrix(np.arange(100.0).reshape(20, 5))
    figure = scmoe.pl.imputed(mdata, **PAIR, features="CD4", layer="counts")
    np.testing.assert_allclose(points(figure)[:, 0], np.arange(1, 100, 5))


def test_several_sources_are_joined(mdata):
    mdata["adt"].layers["scmoe_adt_from_rna+atac"] = mdata["adt"].layers["scmoe_adt_from_rna"]
    assert len(points(scmoe.pl.imputed(mdata, source=["rna", "atac"], target="adt", features="CD4"))) == 20


@pytest.mark.parametrize("names", [["CD16/32", "CD16_32"], ["CD16_32", "CD16/32"]])
def test_names_that_are_alike_but_for_a_slash_are_kept_apart(mdata, names):
    adt = mdata["adt"]
    adt.var_names = [*names, *adt.var_names[2:]]
    for position, name in enumerate(names):
        drawn = points(scmoe.pl.imputed(mdata, **PAIR, features=name))
        np.testing.assert_allclose(drawn[:, 1], adt.layers["scmoe_adt_from_rna"][:, position])


def test_a_feature_that_the_model_does_not_know_is_named(mdata):
    mdata["adt"].layers["scmoe_adt_from_rna"][:, 1] = np.nan
    with pytest.raises(KeyError, match="no prediction of 'CD4'"):
        scmoe.pl.imputed(mdata, **PAIR, features=["CD3", "CD4"])


def test_a_modality_that_is_called_like_several_is_refused(mdata):
    with quiet_mudata():
        mods = {"rna": mdata["rna"], "atac": mdata["rna"], "rna+atac": mdata["rna"], "adt": mdata["adt"]}
        mdata = MuData({name: adata.copy() for name, adata in mods.items()})
    mdata["adt"].layers["scmoe_adt_from_rna+atac"] = np.zeros((20, 5))
    for source in ("rna+atac", ["rna", "atac"]):
        with pytest.raises(ValueError, match=r"would stand for 'adt' from \['rna', 'atac'\] and for 'adt' from \["):
            scmoe.pl.imputed(mdata, source=source, target="adt", features="CD4")


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"features": "cd8"}, KeyError, r"no feature 'cd8'; did you mean 'CD8a'"),
        ({"features": "XYZ123"}, KeyError, "var_names"),
        ({"features": []}, ValueError, "at least one"),
        ({"features": "CD4", "source": "atac"}, KeyError, r"scmoe\.tl\.impute\(\.\.\., source='atac', target='adt'"),
        ({"features": "CD4", "layer": "raw"}, KeyError, "no layer 'raw'"),
        ({"features": "CD4", "cells": "test"}, KeyError, "no column 'test'"),
        ({"features": "CD4", "cells": np.ones(3)}, ValueError, "True or False for each of the 30 cells"),
        ({"features": "CD4", "cells": np.arange(30) >= 20}, ValueError, "None of the chosen cells"),
    ],
)
def test_bad_arguments(mdata, arguments, error, match):
    with pytest.raises(error, match=match):
        scmoe.pl.imputed(mdata, **{**PAIR, **arguments})


def test_a_mask_is_matched_by_name(mdata):
    expected = points(scmoe.pl.imputed(mdata, **PAIR, features=["CD4", "CD4"], cells="held_out"))
    shuffled = mdata.obs["held_out"].sample(frac=1, random_state=0)
    np.testing.assert_array_equal(points(scmoe.pl.imputed(mdata, **PAIR, features="CD4", cells=shuffled)), expected)
    with pytest.raises(ValueError, match=r"cells must have an entry for each of the 30 cells, by name; it lacks 1"):
        scmoe.pl.imputed(mdata, **PAIR, features="CD4", cells=shuffled.iloc[1:])
