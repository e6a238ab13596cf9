import numpy as np

import scmoe


def test_writes_only_the_table(mosaic, trained_mosaic, contents, written):
    before = contents(mosaic)
    scmoe.tl.attention(mosaic, trained_mosaic, groupby="batch", key_added="a")
    assert written(before, mosaic) == {"uns/a/attention", "uns/a/attention_groupby"}
    assert mosaic.uns["a"]["attention_groupby"] == "batch"


def test_attention_of_a_query_sums_to_one(mosaic, trained_mosaic):
    scmoe.tl.attention(mosaic, trained_mosaic, groupby="batch")
    table = mosaic.uns["scmoe"]["attention"]
    np.testing.assert_allclose(table.groupby(["layer", "group", "query"])["attention"].sum(), 1, rtol=1e-5)
    assert set(table["group"]) == {"all", "donor1", "donor2"}
    assert set(table["query"]) == set(table["key"]) == {"rna", "adt", "ephys"}


def test_other_results_of_the_model_stay(mosaic, trained_mosaic):
    scmoe.tl.expert_usage(mosaic, trained_mosaic)
    scmoe.tl.attention(mosaic, trained_mosaic)
    assert {"expert_usage", "attention", "prepare"} - {"prepare"} <= set(mosaic.uns["scmoe"])
