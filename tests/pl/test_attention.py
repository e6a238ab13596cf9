import numpy as np
import pytest

import scmoe.pl
from scmoe.explain._groups import ALL_CELLS


@pytest.mark.parametrize("value", ["ratio", "attention"])
@pytest.mark.parametrize("group", [ALL_CELLS, "T"])
def test_draws_the_stored_blocks(mdata, value, group):
    ax = scmoe.pl.attention(mdata, value=value, group=group)
    table = mdata.uns["scmoe"]["attention"].query("layer == 1 and group == @group")
    expected = table.pivot(index="query", columns="key", values=value).loc[["rna", "adt"], ["rna", "adt"]]
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array()), expected)


def test_no_preference_is_the_middle_of_the_colors(mdata):
    norm = scmoe.pl.attention(mdata).images[0].norm
    assert norm(1.0) == 0.5


def test_bad_arguments(mdata):
    with pytest.raises(KeyError, match="no group 'Platelet'; the table has all cells, B, NK, T"):
        scmoe.pl.attention(mdata, group="Platelet")
    with pytest.raises(ValueError, match="value must be"):
        scmoe.pl.attention(mdata, value="weights")
