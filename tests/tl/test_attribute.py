import mudata
import numpy as np
import pandas as pd
import pytest

import scmoe
from scmoe.io._quiet import quiet_mudata
from scmoe.tl._deletion import _correlations
from scmoe.tl._targets import resolve_groups


def test_writes_its_tables_and_nothing_else(paired, trained, contents, written):
    before = contents(paired)
    scmoe.tl.attribute(paired, trained, n_steps=4)
    keys = {"attribution", "attribution_summary"}
    assert written(before, paired) == {f"uns/scmoe/{key}" for key in keys}
    table, summary = (paired.uns["scmoe"][key] for key in sorted(keys))
    assert table.groupby("target").size().to_dict() == {"B": 72, "NK": 72, "T": 72}
    np.testing.assert_allclose(summary.groupby("target")["share"].sum(), 1)
    sums = table.groupby(["target", "modality"])["attribution"].sum()
    found = summary.set_index(["target", "modality"])["attribution"]
    np.testing.assert_allclose(found[sums.index], sums, atol=1e-5)


def test_numbers_are_those_of_the_model(paired, trained):
    scmoe.tl.attribute(paired, trained, "T", n_steps=4)
    cells = np.flatnonzero(paired.obs["cell_type"] == "T")
    mean = trained.get_mean_attributions(trained.label_target("T"), paired, cells, n_steps=4)
    table = paired.uns["scmoe"]["attribution"].query("modality == 'rna'").set_index("feature")
    np.testing.assert_allclose(table["attribution"][trained.feature_names["rna"]], mean.signed["rna"], atol=1e-5)
    np.testing.assert_allclose(table["level"][trained.feature_names["rna"]], mean.level["rna"], atol=1e-5)
    summary = paired.uns["scmoe"]["attribution_summary"]
    assert summary["n_cells"].tolist() == [len(cells)] * 2
    assert summary["value"].iloc[0] == pytest.approx(mean.value) and summary["explained"].iloc[0] == pytest.approx(
        mean.explained
    )


def test_survives_a_file(paired, trained, tmp_path):
    scmoe.tl.attribute(paired, trained, n_steps=2)
    scmoe.tl.deletion(paired, trained, n_steps=2, n_cells=10)
    with quiet_mudata():
        paired.write(tmp_path / "explained.h5mu")
        back = mudata.read(tmp_path / "explained.h5mu")
    for key in ("attribution", "attribution_summary", "deletion", "deletion_summary"):
        pd.testing.assert_frame_equal(
            back.uns["scmoe"][key].astype(object), paired.uns["scmoe"][key].astype(object), check_index_type=False
        )


def test_clusters_are_explained_by_a_classifier_of_their_own(paired, trained):
    paired.obs["cluster"] = paired.obs["cell_type"].cat.rename_categories({"B": "0", "NK": "1", "T": "2"})
    scmoe.tl.attribute(paired, trained, "2", groupby="cluster", n_steps=8)
    first = paired.uns["scmoe"]["attribution"].query("modality == 'rna' and attribution > 0")["feature"][:10]
    assert (first.str.removeprefix("gene").astype(int) % 3 == 2).mean() >= 0.8
    assert paired.uns["scmoe"]["attribution_summary"]["agreement"].min() > 0.9


def test_predicted_labels_count_as_labels(paired, trained):
    scmoe.tl.annotate(paired, trained)
    scmoe.tl.attribute(paired, trained, "T", groupby="scmoe_label", n_steps=2)
    assert paired.uns["scmoe"]["attribution_summary"]["agreement"].tolist() == [1, 1]


def test_predictions_look_at_the_sources_only(mosaic, trained_mosaic):
    scmoe.tl.attribute(mosaic, trained_mosaic, ["protein1"], modality="adt", source="rna", n_steps=2)
    table = mosaic.uns["scmoe"]["attribution"]
    assert set(table["modality"]) == {"rna"} and set(table["target"]) == {"protein1"}


def test_the_deletion_test_tells_attributions_from_chance(paired, trained):
    scmoe.tl.deletion(paired, trained, "T")
    summary = paired.uns["scmoe"]["deletion_summary"].set_index("ranking")
    assert summary["area"]["attribution"] > 2 * abs(summary["area"]["random"])
    assert summary["p_over_attribution"]["random"] < 0.01
    again = paired.uns["scmoe"]["deletion"]
    scmoe.tl.deletion(paired, trained, "T")
    pd.testing.assert_frame_equal(paired.uns["scmoe"]["deletion"], again)


def test_a_model_whose_labels_are_shuffled_rests_on_nothing(paired, trained, fit_model):
    rng = np.random.default_rng(0)
    paired.obs["shuffled"] = pd.Categorical(rng.permutation(paired.obs["cell_type"].to_numpy()))
    size = {}
    for name, model in (("own", trained), ("shuffled", fit_model(paired, setup={"labels_key": "shuffled"}))):
        scmoe.tl.attribute(paired, model, n_steps=4)
        size[name] = paired.uns["scmoe"]["attribution"]["attribution"].abs().sum()
    assert size["shuffled"] < 0.2 * size["own"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"targets": "Tcell", "groupby": "cell_type"}, ValueError, "cannot tell a group 'Tcell'"),
        ({"groupby": "donor"}, KeyError, "is not a column"),
        ({"targets": "protein1", "source": "rna"}, ValueError, "name the modality too"),
        ({"targets": "protein1", "modality": "adt", "groupby": "batch"}, ValueError, "give one of the two"),
        ({"modality": "adt"}, ValueError, "Name the features of 'adt'"),
        ({"targets": "protien1", "modality": "adt"}, ValueError, "no feature 'protien1'; did you mean 'protein1'"),
        ({"targets": "protein1", "modality": "atac"}, KeyError, "no modality 'atac'"),
        ({"targets": "T", "groupby": "late"}, ValueError, "cannot tell a group 'T' of 'late'"),
    ],
)
def test_bad_arguments(paired, trained, arguments, error, message):
    paired.obs["late"] = np.resize(["a", "b"], 120)
    with pytest.raises(error, match=message):
        scmoe.tl.attribute(paired, trained, **arguments)
    assert "attribution" not in paired.uns["scmoe"]


def test_labels_missing(paired, trained, mosaic, trained_mosaic):
    with pytest.raises(ValueError, match="trained without labels. Name a column of cell groups"):
        scmoe.tl.attribute(mosaic, trained_mosaic)
    del paired.obs["cell_type"]
    with pytest.raises(ValueError, match="are not in these data. Name a column"):
        scmoe.tl.attribute(paired, trained)


def test_a_label_without_a_cell(paired, trained):
    few = paired[paired.obs["cell_type"] != "NK"].copy()
    with pytest.raises(ValueError, match="No cell of mdata.obs\\['cell_type'\\] is 'NK'; found"):
        scmoe.tl.attribute(few, trained, "NK")


def test_a_label_is_explained_where_the_model_can_give_it(mosaic, fit_model):
    """A label that in the training no cell with proteins had: cells of a query that have some are left out."""
    has_adt = mosaic.obs_names.isin(mosaic["adt"].obs_names)
    names = mosaic.obs["cell_type"].astype(str).to_numpy()
    mosaic.obs["label"] = np.where(~has_adt & (names == "B"), "rare", names)
    model = fit_model(mosaic, setup={"labels_key": "label"})
    mosaic.obs["label"] = np.where(names == "B", "rare", names)
    scmoe.tl.attribute(mosaic, model, "rare", n_steps=2)
    scmoe.tl.deletion(mosaic, model, "rare", n_steps=2)
    summary = mosaic.uns["scmoe"]["attribution_summary"]
    assert set(summary["n_cells"]) == {int((~has_adt & (names == "B")).sum())}
    assert np.isfinite(summary[["value", "baseline", "explained"]]).all(axis=None)
    assert np.isfinite(mosaic.uns["scmoe"]["deletion"]["drop"]).all()
    mosaic.obs["label"] = np.where(has_adt, "rare", names)
    with pytest.raises(ValueError, match="never gives the label 'rare' to cells with the modalities"):
        scmoe.tl.attribute(mosaic, model, "rare")


def test_labels_may_be_decimal_numbers_and_missing(paired, fit_model):
    paired.obs["number"] = paired.obs["cell_type"].map({"B": 0.0, "NK": 1.0, "T": 2.0}).astype(float)
    model = fit_model(paired, setup={"labels_key": "number"})
    paired.obs.loc[paired.obs_names[:60], "number"] = np.nan
    scmoe.tl.attribute(paired, model, n_steps=2)
    n_cells = paired.uns["scmoe"]["attribution_summary"].groupby("target")["n_cells"].first()
    assert n_cells.to_dict() == paired.obs["number"].dropna().astype(int).astype(str).value_counts().to_dict()


@pytest.mark.parametrize("values", [[0, 1, 2], [0.0, 1.0, 2.0], [True, False, False]], ids=["int", "float", "bool"])
def test_targets_are_named_as_the_labels_are(paired, fit_model, values):
    paired.obs["number"] = paired.obs["cell_type"].astype(str).map(dict(zip("B NK T".split(), values, strict=True)))
    model = fit_model(paired, setup={"labels_key": "number"})
    target, name = values[0], model.label_target(values[0]).name
    for targets in (target, [target], pd.Series([target], dtype="category").unique()):
        scmoe.tl.attribute(paired, model, targets, n_steps=2, n_cells=5)
        assert set(paired.uns["scmoe"]["attribution"]["target"]) == {name}
    scmoe.pl.attribution(paired, target, show=False)


def test_unlabeled_cells_are_in_no_correlation(paired, fit_model):
    paired.obs["label"] = np.where(np.arange(120) % 2, "Unknown", paired.obs["cell_type"].astype(str))
    model = fit_model(paired, setup={"labels_key": "label"})
    (found,) = resolve_groups(paired, model, "T", None, "scmoe")
    assert np.isnan(found.truth[1::2]).all() and np.isfinite(found.truth[::2]).all()


def test_each_target_is_correlated_where_it_was_measured(paired, trained):
    """A feature that the cells lack leaves the correlations of the others as they are, and has none itself."""
    with quiet_mudata():
        query = mudata.MuData({"rna": paired["rna"].copy(), "adt": paired["adt"][:, ["protein1", "protein4"]].copy()})
    query.obs = paired.obs
    scmoe.tl.deletion(query, trained, "protein1", modality="adt", n_steps=2)
    summary = query.uns["scmoe"]["deletion_summary"].set_index("ranking")
    assert summary["area"]["correlation"] > 5 * abs(summary["area"]["random"])
    with pytest.raises(ValueError, match="'protein7' was not measured in these cells"):
        scmoe.tl.deletion(query, trained, ["protein1", "protein7"], modality="adt")
    truth = np.random.default_rng(0).normal(size=(120, 2))
    truth[:30, 1] = np.nan
    both, alone = _correlations(paired, trained, truth), _correlations(paired, trained, truth[:, :1])
    np.testing.assert_allclose(both["rna"][:, 0], alone["rna"][:, 0])
    values = paired["rna"][paired.obs_names[30:], trained.feature_names["rna"]].to_df()
    assert both["rna"][3, 1] == pytest.approx(np.corrcoef(values["gene3"], truth[30:, 1])[0, 1], abs=0.02)


def test_a_target_that_is_named_twice_is_explained_once(paired, trained):
    scmoe.tl.attribute(paired, trained, ["protein1", "protein1"], modality="adt", n_steps=2, n_cells=4)
    assert len(paired.uns["scmoe"]["attribution_summary"]) == 1
