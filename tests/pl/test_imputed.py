import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.stats import pearsonr

import scmoe.pl
from scmoe.io._quiet import quiet_mudata

PAIR = {"source": "rna", "target": "adt"}


def points(figure, panel=0) -> np.ndarray:
    return np.asarray(figure.axes[panel].collections[0].get_offsets())


def test_draws_prediction_against_observation(mdata):
    figure = scmoe.pl.imputed(mdata, **PAIR, features=["CD8a", "CD19"])
    drawn = points(figure, panel=1)
    np.testing.assert_allclose(drawn[:, 0], mdata["adt"][:, "CD19"].X.ravel())
    np.testing.assert_allclose(drawn[:, 1], mdata.obsm["scmoe_adt_from_rna"]["CD19"][:20])


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


def test_prediction_may_be_an_array(mdata):
    mdata.obsm["scmoe_adt_from_rna"] = mdata.obsm["scmoe_adt_from_rna"].to_numpy()
    assert len(points(scmoe.pl.imputed(mdata, **PAIR, features="CD4"))) == 20


def test_several_sources_are_joined(mdata):
    mdata.obsm["scmoe_adt_from_rna+atac"] = mdata.obsm["scmoe_adt_from_rna"]
    assert len(points(scmoe.pl.imputed(mdata, source=["rna", "atac"], target="adt", features="CD4"))) == 20


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
