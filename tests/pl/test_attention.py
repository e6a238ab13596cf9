import matplotlib.pyplot as plt
import numpy as np
import pytest

import scmoe.pl
from scmoe.explain._groups import ALL_CELLS
from scmoe.explain._token_attention import token_table


@pytest.mark.parametrize("value", ["ratio", "attention"])
@pytest.mark.parametrize("group", [ALL_CELLS, "T"])
@pytest.mark.parametrize(("head", "layer"), [("mean", -1), (1, 0), ("rollout", 1)])
def test_draws_the_stored_blocks(mdata, value, group, head, layer):
    ax = scmoe.pl.attention(mdata, value=value, group=group, head=head, layer=layer)
    table = mdata.uns["scmoe"]["attention"]
    table = table[(table["layer"] == layer % 2) & (table["head"] == str(head)) & (table["group"] == group)]
    expected = table.pivot(index="query", columns="key", values=value).loc[["rna", "adt"], ["rna", "adt"]]
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array()), expected)


def test_no_preference_is_the_middle_of_the_colors(mdata):
    norm = scmoe.pl.attention(mdata).images[0].norm
    assert norm(1.0) == 0.5


@pytest.mark.parametrize(("head", "words"), [("mean", "Attention b"), (0, "head 0"), ("rollout", "Rollout")])
def test_title_tells_what_is_drawn_and_how_much_goes_across(mdata, head, words):
    table = mdata.uns["scmoe"]["attention"]
    row = table[(table["layer"] == 1) & (table["head"] == str(head)) & (table["group"] == "T")].iloc[0]
    title = scmoe.pl.attention(mdata, head=head, group="T").get_title(loc="left")
    assert words in title and "T\n" in title
    assert f"{row['across']:.0%} to others (uniform: {row['across_uniform']:.0%})" in title


def test_ablation_of_the_same_cells_beside(mdata):
    ax = scmoe.pl.attention(mdata, group="T", beside_ablation=True)
    left, right = (other for other in ax.figure.axes if other.images and other.get_xlabel())
    assert left is ax
    alone = scmoe.pl.ablation(mdata, group="T")
    np.testing.assert_array_equal(right.images[0].get_array(), alone.images[0].get_array())
    assert right.get_title(loc="left") == alone.get_title(loc="left")


def test_missing_ablation_names_the_function_to_run_and_leaves_no_figure(mdata):
    del mdata.uns["scmoe"]["ablation"]
    with pytest.raises(KeyError, match="scmoe.tl.ablation"):
        scmoe.pl.attention(mdata, beside_ablation=True)
    assert not plt.get_fignums()


def test_bad_arguments(mdata):
    with pytest.raises(KeyError, match="no group 'Platelet'; the table has all cells, B, NK, T"):
        scmoe.pl.attention(mdata, group="Platelet")
    with pytest.raises(KeyError, match="no head 7; the table has mean, 0, 1, rollout"):
        scmoe.pl.attention(mdata, head=7)
    with pytest.raises(ValueError, match="value must be"):
        scmoe.pl.attention(mdata, value="weights")
    with pytest.raises(ValueError, match="two heat maps; found one ax"):
        scmoe.pl.attention(mdata, beside_ablation=True, ax=plt.subplots()[1])


@pytest.mark.parametrize("n_tokens", [2, 20])
def test_tokens_are_drawn_by_modality(mdata, n_tokens):
    share = np.random.default_rng(0).random((3, 1, 2 * n_tokens, 2 * n_tokens))
    table = token_table([share / share.sum(-1, keepdims=True)], ["rna", "adt"])
    mdata.uns["scmoe"] = {**mdata.uns["scmoe"], "attention_tokens": table}
    ax = scmoe.pl.attention(mdata, tokens=True, value="attention")
    expected = table["attention"].to_numpy().reshape(2 * n_tokens, 2 * n_tokens)
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array()), expected)
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == (["rna", "adt"] if n_tokens > 12 else ["rna 0", "rna 1", "adt 0", "adt 1"])


def test_tokens_that_were_not_asked_for(mdata):
    with pytest.raises(KeyError, match=r"scmoe.tl.attention\(..., tokens=True"):
        scmoe.pl.attention(mdata, tokens=True)
    with pytest.raises(ValueError, match="Leave head and beside_ablation out"):
        scmoe.pl.attention(mdata, tokens=True, head=0)
