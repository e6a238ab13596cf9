"""The column of a split, and what it must hold."""

import numpy as np
import pandas as pd
import pytest

import scmoe
from scmoe.datasets._parts import parts_of, record_split
from scmoe.io._quiet import quiet_mudata

N = 120


def divided(mdata, values, dtype=object):
    mdata.obs["part"] = pd.Series(values, index=mdata.obs_names, dtype=dtype)
    return mdata


def thirds():
    return np.array(["train", "validation", "test"])[np.arange(N) % 3]


@pytest.mark.parametrize("dtype", [object, "category", "string"])
def test_parts_are_those_of_the_column(paired, dtype):
    for part, cells in zip(range(3), parts_of(divided(paired, thirds(), dtype), "part"), strict=True):
        assert cells.tolist() == list(range(part, N, 3))
    two = parts_of(divided(paired, np.where(np.arange(N) < 90, "train", "test")), "part")
    assert [len(part) for part in two] == [90, 0, 30]


BAD = {
    "absent": (lambda m: m, "nothing", KeyError, "split_key='nothing' is not a column of mdata.obs; found cell_type"),
    "no name": (lambda m: m, 3, TypeError, "split_key must be the name of one column of mdata.obs; found 3"),
    "other values": (
        lambda m: divided(m, np.where(np.arange(N) < 7, "train", "val")),
        "part",
        ValueError,
        r"obs\['part'\] must say for each cell 'train', 'validation' or 'test'.*found 'val' in cell 'cell7'",
    ),
    "gaps": (
        lambda m: divided(m, [None, *["train"] * 60, *["test"] * 59]),
        "part",
        ValueError,
        "1 cells have none, the first is 'cell0'",
    ),
    "no training cell": (
        lambda m: divided(m, np.where(np.arange(N) < 7, "validation", "test")),
        "part",
        ValueError,
        "no cell called 'train'",
    ),
    "one part": (lambda m: divided(m, ["train"] * N), "part", ValueError, "has one part, 'train'.*pass train_size=1"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_column_that_is_no_split_is_refused(paired, name):
    change, key, error, match = BAD[name]
    with pytest.raises(error, match=match):
        parts_of(change(paired), key)


def donors(mdata):
    mdata.obs["donor"] = pd.Categorical(np.arange(N) // 20)
    return mdata


def test_a_donor_in_two_parts_is_refused_where_donors_were_kept_together(paired, tmp_path):
    scmoe.pp.split(donors(paired), group_key="donor")
    train, validation, test = parts_of(paired, "split")
    assert len(train) + len(validation) + len(test) == N
    scmoe.datasets.write(paired, tmp_path / "cells.h5mu")
    again = scmoe.datasets.read(tmp_path / "cells.h5mu")
    again.obs["split"] = paired.obs["split"].astype(str).to_numpy()
    parts_of(again, "split")
    donor = str(again.obs["donor"].iloc[int(test[0])])
    again.obs.iloc[int(test[0]), again.obs.columns.get_loc("split")] = "train"
    with pytest.raises(ValueError, match=rf"made by obs\['donor'\].*found '{donor}' in 'train' and 'test'\. Split"):
        parts_of(again, "split")
    again.obs.iloc[int(train[0]), again.obs.columns.get_loc("split")] = "test"
    with pytest.raises(ValueError, match=r"and 1 more in several\. Split again"):
        parts_of(again, "split")
    del again.obs["donor"]
    parts_of(again, "split")


def test_a_split_of_cells_may_divide_donors(paired):
    scmoe.pp.split(donors(paired), group_key="donor")
    scmoe.pp.split(paired, labels_key="cell_type")  # the record of the former goes with its column
    parts_of(paired, "split")
    assert "split" not in paired.uns["scmoe"] and "prepare" in paired.uns["scmoe"]


def test_the_record_of_one_column_leaves_others(paired):
    record_split(paired, "a", "donor")
    record_split(paired, "b", "lane")
    record_split(paired, "a", None)
    assert paired.uns["scmoe"]["split"] == {"b": {"group_key": "lane"}}
    adata = paired["rna"].copy()
    adata.uns["scmoe"] = "mine"
    record_split(adata, "a", "donor")
    assert adata.uns["scmoe"] == "mine"


def test_the_hint_for_a_column_of_a_modality_works(paired):
    paired["rna"].obs["part"] = thirds()
    if "part" in paired.obs:
        del paired.obs["part"]
    with pytest.raises(KeyError, match="has it: ") as error:
        parts_of(paired, "part")
    hint = str(error.value).split("has it: ")[1].rstrip(".'\"")
    with quiet_mudata():
        exec(hint, {"mdata": paired})
    assert parts_of(paired, "part")[0].tolist() == list(range(0, N, 3))
