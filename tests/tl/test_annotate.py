import mudata
import numpy as np
import pandas as pd
import pytest

import scmoe
from scmoe.io._quiet import quiet_mudata

PARTS = ("", "mod/rna/", "mod/adt/")


def test_writes_label_confidence_and_probabilities(paired, trained, contents, written):
    before = contents(paired)
    scmoe.tl.annotate(paired, trained, key_added="a")
    record = ("achieved_coverage", "coverage", "detection", "expected_accuracy", "reject_label", "threshold")
    columns = ("label", "label_confidence", "label_second", "label_second_confidence", "unknown_score")
    assert written(before, paired) == {
        *(f"{part}obsm/a_label_probability" for part in PARTS),
        *(f"{part}obs/a_{name}" for name in columns for part in PARTS),
        *(f"uns/a/annotation/{name}" for name in record),
    }


def test_the_three_agree(paired, trained):
    scmoe.tl.annotate(paired, trained)
    probability = paired.obsm["scmoe_label_probability"]
    assert isinstance(probability, pd.DataFrame) and list(probability.columns) == ["B", "NK", "T"]
    assert list(probability.index) == list(paired.obs_names)
    np.testing.assert_array_equal(probability.idxmax(axis=1), paired.obs["scmoe_label"])
    np.testing.assert_array_equal(probability.max(axis=1), paired.obs["scmoe_label_confidence"])
    assert list(paired.obs["scmoe_label"].cat.categories) == ["B", "NK", "T"]


def test_a_query_without_labels_is_labeled(single, trained):
    truth = single.obs.pop("cell_type")
    scmoe.tl.annotate(single, trained)
    assert (single.obs["scmoe_label"].astype(str) == truth.astype(str)).mean() > 0.9


def test_cells_without_a_label_get_one(paired, fit_model):
    truth = paired.obs["cell_type"].astype(str)
    paired.obs["partly"] = truth.where(np.arange(120) % 2 == 0, "Unknown")
    model = fit_model(paired, setup={"labels_key": "partly"}, max_epochs=10, plan_kwargs={"lr": 1e-2})
    scmoe.tl.annotate(paired, model)
    assert "Unknown" not in paired.obs["scmoe_label"].cat.categories
    assert (paired.obs["scmoe_label"].astype(str) == truth)[1::2].mean() > 0.8


def test_second_labels_are_the_second_most_probable(paired, trained):
    scmoe.tl.annotate(paired, trained)
    for cell, row in paired.obsm["scmoe_label_probability"].iloc[:20].iterrows():
        second = row.drop(paired.obs.loc[cell, "scmoe_label"])
        assert paired.obs.loc[cell, "scmoe_label_second"] == second.idxmax()
        assert paired.obs.loc[cell, "scmoe_label_second_confidence"] == second.max()


def test_coverage_declines_the_least_trusted_cells_and_is_recorded(paired, trained):
    scmoe.tl.annotate(paired, trained)
    labels, record = paired.obs["scmoe_label"].astype(str), paired.uns["scmoe"]["annotation"]
    assert (record["coverage"], record["achieved_coverage"], record["threshold"]) == (1, 1, 0)
    scmoe.tl.annotate(paired, trained, coverage=0.7, reject_label="declined")
    found = trained.get_annotation(paired, coverage=0.7)
    kept = found.trust > 0.3
    assert (paired.obs["scmoe_label"] == "declined").tolist() == (~kept).tolist() and 0.6 < kept.mean() < 0.9
    assert (paired.obs["scmoe_label"].astype(str) == labels)[kept].all()
    record = paired.uns["scmoe"]["annotation"]
    assert (record["coverage"], record["reject_label"]) == (0.7, "declined")
    assert record["achieved_coverage"] == pytest.approx(kept.mean())
    assert record["expected_accuracy"] == pytest.approx(found.expected_accuracy[0])


def test_the_limit_is_not_moved_by_the_query(paired, trained):
    scmoe.tl.annotate(paired, trained, coverage=0.7)
    least = (paired.obs["scmoe_label"] == "Unknown").to_numpy()
    with quiet_mudata():
        query = paired[least].copy()
    scmoe.tl.annotate(query, trained, coverage=0.7)
    assert (query.obs["scmoe_label"] == "Unknown").all() and query.uns["scmoe"]["annotation"]["achieved_coverage"] == 0


def test_a_tree_of_labels_is_rolled_up_and_forgotten_by_the_next_call(paired, trained):
    tree = {"NK": "lymphocyte", "T": "lymphocyte", "B": "lymphocyte"}
    level = float(np.median(trained.predict(paired, soft=True).max(axis=1)))
    scmoe.tl.annotate(paired, trained, hierarchy=tree, rollup_confidence=level)
    sure = paired.obs["scmoe_label_confidence"] >= level - 1e-6
    expected = paired.obs["scmoe_label"].astype(str).where(sure, "lymphocyte")
    assert 0 < sure.sum() < 120
    np.testing.assert_array_equal(paired.obs["scmoe_label_rollup"].astype(str), expected)
    np.testing.assert_allclose(paired.obs["scmoe_label_rollup_confidence"][~sure], 1, atol=1e-6)
    scmoe.tl.annotate(paired, trained)
    assert not any("rollup" in name for name in paired.obs)


def test_cells_below_all_roots_are_declined(paired, trained):
    scmoe.tl.annotate(paired, trained, hierarchy={"NK": "T"}, rollup_confidence=1.0)
    assert (paired.obs["scmoe_label_rollup"] == "Unknown").any()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"coverage": 0}, "coverage must be a number above 0"),
        ({"coverage": "0.9"}, "coverage must be a number above 0 and at most 1; found '0.9'"),
        ({"reject_label": None}, "reject_label must be text; found None"),
        ({"hierarchy": {"B": "Unknown"}}, "'Unknown' is a parent in hierarchy"),
        ({"reject_label": "NK"}, "'NK' is a label of the model"),
        ({"hierarchy": {"ILC": "NK"}}, "'ILC', which the model does not know"),
        ({"hierarchy": {"NK": "T"}, "rollup_confidence": 0.4}, "above 0.5"),
    ],
)
def test_refuses_and_writes_nothing(paired, trained, contents, written, options, match):
    before = contents(paired)
    with pytest.raises((TypeError, ValueError), match=match):
        scmoe.tl.annotate(paired, trained, **options)
    assert not written(before, paired)


def test_coverage_needs_held_out_cells(paired, fit_model):
    labels = np.full(120, "Unknown", object)
    labels[:2] = ["B", "T"]
    paired.obs["few"] = labels
    model = fit_model(paired, setup={"labels_key": "few"}, train_size=1.0)
    scmoe.tl.annotate(paired, model)
    assert paired.obs["scmoe_unknown_score"].isna().all() and set(paired.obs["scmoe_label"]) <= {"B", "T"}
    with pytest.raises((TypeError, ValueError), match="at least two training cells"):
        scmoe.tl.annotate(paired, model, coverage=0.9)


@pytest.mark.parametrize("form", ["h5mu", "zarr"])
def test_labels_with_slashes_survive_a_file(paired, fit_model, tmp_path, form):
    paired.obs["cell_type"] = paired.obs["cell_type"].cat.rename_categories({"NK": "B/NK"})
    model = fit_model(paired, setup={"labels_key": "cell_type"})
    scmoe.tl.annotate(paired, model, coverage=0.9, hierarchy={"B": "lympho/cyte", "T": "lympho/cyte"})
    with quiet_mudata():
        getattr(paired, f"write_{form}")(tmp_path / "data")
        back = getattr(mudata, f"read_{form}")(tmp_path / "data")
    pd.testing.assert_frame_equal(back.obsm["scmoe_label_probability"], paired.obsm["scmoe_label_probability"])
    assert list(back.obs["scmoe_label"].cat.categories) == ["B", "B/NK", "T", "Unknown"]
    assert back.uns["scmoe"]["annotation"]["coverage"] == 0.9
    detection = back.uns["scmoe"]["annotation"]["detection"]
    assert set(detection.index) == {"B", "B/NK", "T"} and detection["auroc"].between(0, 1).all()


@pytest.mark.parametrize("form", ["h5mu", "zarr"])
def test_a_model_that_does_not_know_what_it_could_tell_is_written_to_a_file(paired, fit_model, tmp_path, form):
    paired.obs["few"] = ["B", "T", *["Unknown"] * 118]
    scmoe.tl.annotate(paired, fit_model(paired, setup={"labels_key": "few"}, train_size=1.0, max_epochs=1))
    with quiet_mudata():
        getattr(paired, f"write_{form}")(tmp_path / "data")
        back = getattr(mudata, f"read_{form}")(tmp_path / "data")
    assert len(back.uns["scmoe"]["annotation"]["detection"]) == 0


def test_a_table_is_a_tree_with_levels(paired, trained):
    tree = pd.DataFrame({"lineage": ["lymphoid"] * 2 + ["other"], "type": ["T", "NK", "B"]})
    scmoe.tl.annotate(paired, trained, hierarchy=tree, rollup_confidence=0.99)
    obs, probability = paired.obs, paired.obsm["scmoe_label_probability"]
    level = obs["scmoe_label_rollup_level"].astype(str)
    for cell in obs.index:
        p = probability.loc[cell]
        if p.max() >= 0.99 - 1e-6:
            expected = ("type", p.idxmax())
        elif p["T"] + p["NK"] >= 0.99 - 1e-6:
            expected = ("lineage", "lymphoid")
        else:
            expected = ("Unknown", "Unknown")
        assert (level[cell], obs.loc[cell, "scmoe_label_rollup"]) == expected
    levels = paired.uns["scmoe"]["annotation"]["levels"]
    assert list(levels["level"]) == ["type", "lineage"]
    assert list(levels["n_cells"]) == [(level == name).sum() for name in ("type", "lineage")]
    np.testing.assert_allclose(levels["coverage"], np.cumsum(levels["n_cells"]) / len(obs))
    named = obs["scmoe_label_rollup_confidence"][level == "type"]
    assert levels["confidence"].iloc[0] == pytest.approx(named.mean())
    scmoe.tl.annotate(paired, trained)
    assert "scmoe_label_rollup_level" not in paired.obs
