import numpy as np
import pandas as pd

import scmoe


def test_writes_only_the_table(mosaic, trained_mosaic, contents, written):
    before = contents(mosaic)
    scmoe.tl.attention(mosaic, trained_mosaic, groupby="batch", key_added="a")
    assert written(before, mosaic) == {"uns/a/attention", "uns/a/attention_groupby"}
    assert mosaic.uns["a"]["attention_groupby"] == "batch"


def test_attention_of_a_query_sums_to_one(mosaic, trained_mosaic):
    scmoe.tl.attention(mosaic, trained_mosaic, groupby="batch")
    table = mosaic.uns["scmoe"]["attention"]
    sums = table.groupby(["layer", "head", "group", "query"])["attention"].sum()
    np.testing.assert_allclose(sums, 1, rtol=1e-5)
    assert set(table["head"]) == {"mean", "0", "1", "rollout"}
    assert set(table["group"]) == {"all cells", "donor1", "donor2"}
    assert set(table["query"]) == set(table["key"]) == {"rna", "adt", "ephys"}


def test_the_mean_head_is_the_mean_of_the_cells(paired, trained):
    scmoe.tl.attention(paired, trained)
    table = paired.uns["scmoe"]["attention"]
    for kind in ("mean", "rollout"):
        rows = table[table["head"] == kind].pivot(index="query", columns="key", values="attention")
        expected = trained.get_attention(paired, kind=kind)[:, 0].mean(0)
        np.testing.assert_allclose(rows.loc[["rna", "adt"], ["rna", "adt"]], expected, rtol=1e-5)


def test_other_results_of_the_model_stay(paired, trained):
    before = set(paired.uns["scmoe"])
    scmoe.tl.expert_usage(paired, trained)
    scmoe.tl.attention(paired, trained)
    tables = {"expert_usage", "expert_summary", "attention", "expert_usage_groupby", "attention_groupby"}
    assert set(paired.uns["scmoe"]) == before | tables | {"result_paths"}


def test_tokens_of_a_modality_add_up_to_what_it_pays(mosaic, trained_mosaic):
    scmoe.tl.attention(mosaic, trained_mosaic, tokens=True, groupby="cell_type")
    tokens, table = mosaic.uns["scmoe"]["attention_tokens"], mosaic.uns["scmoe"]["attention"]
    tokens = tokens.assign(**{side: tokens[side].str.rsplit(" ", n=1).str[0] for side in ("query", "key")})
    by = ["layer", "group", "query", "key"]
    n_tokens = trained_mosaic.config.n_tokens
    found = tokens.groupby(by)["attention"].sum() / n_tokens
    expected = table[table["head"] == "mean"].set_index(by)["attention"]
    pd.testing.assert_series_equal(found.sort_index(), expected.sort_index(), check_dtype=False, rtol=1e-5)
    scmoe.tl.attention(mosaic, trained_mosaic)
    assert "attention_tokens" not in mosaic.uns["scmoe"]  # it would be stale
