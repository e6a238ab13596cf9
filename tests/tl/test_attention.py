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
    assert set(table["group"]) == {"all cells", "donor1", "donor2"}
    assert set(table["query"]) == set(table["key"]) == {"rna", "adt", "ephys"}


def test_other_results_of_the_model_stay(paired, trained):
    before = set(paired.uns["scmoe"])
    scmoe.tl.expert_usage(paired, trained)
    scmoe.tl.attention(paired, trained)
    tables = {"expert_usage", "attention", "expert_usage_groupby", "attention_groupby"}
    assert set(paired.uns["scmoe"]) == before | tables
