import logging

import mudata
import numpy as np
import pytest
from mudata import MuData

import scmoe
from scmoe.io._quiet import quiet_mudata


def without_first_genes(mdata: MuData, n_genes: int) -> MuData:
    mdata.mod["rna"] = mdata["rna"][:, n_genes:].copy()
    with quiet_mudata():
        mdata.update()
    return mdata


def test_writes_embedding_labels_score_and_what_was_found(paired, trained, contents, written):
    before = contents(paired)
    scmoe.tl.map_query(paired, trained, key_added="a")
    names = ("label", "label_confidence", "label_second", "label_second_confidence", "unknown_score", "mapping_score")
    of_cells = [*(f"obs/a_{name}" for name in names), "obsm/X_a", "obsm/X_a_labeled", "obsm/a_label_probability"]
    assert written(before, paired) == {
        *(part + path for part in ("", "mod/rna/", "mod/adt/") for path in of_cells),
        "mod/rna/obsm/a_state",
        "mod/adt/obsm/a_state",
        "mod/rna/obsm/a_router",
        "mod/adt/obsm/a_router",
        "uns/a/annotation/coverage",
        "uns/a/annotation/threshold",
        "uns/a/annotation/achieved_coverage",
        "uns/a/annotation/expected_accuracy",
        "uns/a/annotation/reject_label",
        "uns/a/annotation/detection",
        "uns/a/query/features",
        "uns/a/query/absent_modalities",
        "uns/a/query/new_batches",
        "uns/a/query/hub_within",
        "uns/a/query/hub_outside",
    }


def test_results_are_those_of_the_single_tools(paired, trained):
    scmoe.tl.map_query(paired, trained)
    np.testing.assert_array_equal(paired.obsm["X_scmoe"], trained.get_latent_representation(paired))
    np.testing.assert_array_equal(paired.obs["scmoe_label"].astype(object), trained.predict(paired))
    np.testing.assert_array_equal(paired.obs["scmoe_mapping_score"], trained.get_mapping_score(paired))


def test_a_model_without_labels_writes_none(mosaic, trained_mosaic):
    scmoe.tl.map_query(mosaic, trained_mosaic)
    assert "scmoe_label" not in mosaic.obs and mosaic.obs["scmoe_mapping_score"].between(0, 1).all()


def test_tells_what_the_query_has(single, trained):
    query = without_first_genes(single, 20)
    query.obs["batch"] = np.where(np.arange(120) < 60, "donor1", "donor9")
    scmoe.tl.map_query(query, trained)
    told = query.uns["scmoe"]["query"]
    assert told["features"].to_dict("list") == {"modality": ["rna"], "n_found": [40], "n_model": [60]}
    assert list(told["absent_modalities"]) == ["adt"] and list(told["new_batches"]) == ["donor9"]


def test_the_record_of_preparation_is_kept(paired, trained):
    scmoe.tl.map_query(paired, trained)
    assert {"prepare", "query"} <= set(paired.uns["scmoe"])


def test_unfamiliar_cells_score_low_and_are_counted_in_one_line(paired, trained, caplog, monkeypatch):
    monkeypatch.setattr("scmoe.tl._map_query.logger.propagate", True)
    values = paired["adt"].X.copy()
    values[:30] = values[:30] * 10 + 20
    paired["adt"].X = values
    with caplog.at_level(logging.INFO, logger="scmoe"):
        scmoe.tl.map_query(paired, trained)
    score = paired.obs["scmoe_mapping_score"]
    changed = paired.obs_names.isin(paired["adt"].obs_names[:30])
    assert score[changed].max() < 0.05 < score[~changed].median()
    share = 100 * (score < 0.05).mean()
    expected = f"query: 120 cells, median mapping score {score.median():.2f}, {share:.0f} % of the cells below 0.05"
    assert {record.message for record in caplog.records} == {expected}


@pytest.mark.parametrize("form", ["h5mu", "zarr"])
def test_results_survive_a_file(single, trained, tmp_path, form, contents):
    scmoe.tl.map_query(single, trained)
    with quiet_mudata():
        getattr(single, f"write_{form}")(tmp_path / "data")
        back = getattr(mudata, f"read_{form}")(tmp_path / "data")
    told, kept = single.uns["scmoe"]["query"], back.uns["scmoe"]["query"]
    assert kept["features"].to_dict("list") == told["features"].to_dict("list")
    assert list(kept["absent_modalities"]) == ["adt"] and list(kept["new_batches"]) == []
    np.testing.assert_array_equal(back.obs["scmoe_mapping_score"], single.obs["scmoe_mapping_score"])


def test_a_query_that_does_not_fit_stays_as_it_was(paired, trained, contents):
    query = without_first_genes(paired, 57)
    before = contents(query)
    with pytest.raises(ValueError, match="has 3 of the model's 60 features"):
        scmoe.tl.map_query(query, trained)
    assert contents(query) == before
