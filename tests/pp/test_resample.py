import numpy as np
import pandas as pd
import pytest

from scmoe.pp import augment, oversample, split, undersample
from scmoe.pp._split import row_codes

SIZES = {"T": 70, "B": 34, "NK": 10, "Unknown": 6}
ALL = [oversample, undersample, augment]


@pytest.fixture
def typed(raw):
    """Three types of 70, 34 and 10 cells, and 6 unknown ones."""
    rng = np.random.default_rng(0)
    raw.obs["type"] = pd.Categorical(rng.permutation(np.repeat(list(SIZES), list(SIZES.values()))))
    return raw


def sizes(data) -> dict[str, int]:
    return data.obs["type"].value_counts().to_dict()


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (None, {"T": 70, "B": 70, "NK": 70, "Unknown": 6}),
        (34, {"T": 70, "B": 34, "NK": 34, "Unknown": 6}),
        (1, SIZES),
    ],
)
@pytest.mark.parametrize("more", [oversample, augment])
def test_rare_types_are_raised(typed, more, threshold, expected):
    assert sizes(more(typed, "type", threshold=threshold)) == expected


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(None, {"T": 10, "B": 10, "NK": 10, "Unknown": 6}), (34, {"T": 34, "B": 34, "NK": 10, "Unknown": 6}), (70, SIZES)],
)
def test_frequent_types_are_cut(typed, threshold, expected):
    out = undersample(typed, "type", threshold=threshold)
    assert sizes(out) == expected
    assert out.obs_names.equals(typed.obs_names[typed.obs_names.isin(out.obs_names)])


@pytest.mark.parametrize("name", ["raw", "mosaic"])
def test_copies_are_cells_of_their_type_and_say_of_which(fresh, name):
    mdata = fresh(name)
    out = oversample(mdata, "cell_type")
    assert out.obs_names.is_unique
    assert out.obs_names[: mdata.n_obs].equals(mdata.obs_names)
    assert (out.obs["copy_of"].iloc[: mdata.n_obs] == mdata.obs_names).all()
    origin = out.obs["copy_of"].to_numpy()
    assert (mdata.obs.loc[origin, "cell_type"].to_numpy() == out.obs["cell_type"].to_numpy()).all()
    codes = pd.Series(row_codes(out), out.obs_names)
    assert (codes[origin].to_numpy() == codes.to_numpy()).all()


@pytest.mark.parametrize("function", ALL)
def test_input_stays_and_the_seed_decides(typed, function, contents):
    before = contents(typed)
    drawn = [function(typed, "type", threshold=40, seed=seed) for seed in (0, 0, 1)]
    assert contents(typed) == before
    assert contents(drawn[0]) == contents(drawn[1]) != contents(drawn[2])


def test_copies_of_copies_name_the_measured_cell(typed):
    twice = oversample(oversample(typed, "type", threshold=20), "type", seed=1)
    assert twice.obs_names.is_unique
    assert set(twice.obs["copy_of"]) <= set(typed.obs_names)


def test_copies_of_an_adata(typed):
    adata = typed["rna"].copy()
    adata.obs["type"] = typed.obs["type"]
    out, both = oversample(adata, "type"), oversample(typed, "type")
    assert out.obs_names.equals(both.obs_names) and (out.obs["copy_of"] == both.obs["copy_of"]).all()


@pytest.mark.parametrize("function", ALL)
def test_resampling_before_the_split_is_refused(typed, function):
    split(typed, labels_key="type")
    with pytest.raises(ValueError, match=r"cells of 3 parts .* resample data\[data.obs\['split'\] == 'train'\]"):
        function(typed, "type")
    train = function(typed[typed.obs["split"] == "train"], "type")
    held_out = typed.obs_names[typed.obs["split"] != "train"]
    assert not train.obs_names.isin(held_out).any()


def test_no_row_of_a_resampled_training_part_is_in_another_part(typed):
    split(typed, labels_key="type")
    train = oversample(typed[typed.obs["split"] == "train"], "type")
    codes = pd.Series(row_codes(typed), typed.obs_names)
    held_out = set(codes[typed.obs["split"] != "train"])
    assert held_out.isdisjoint(codes[train.obs["copy_of"]])


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"threshold": 71}, ValueError, r"from 1 to 70, the cells of the largest type \(T\); found 71"),
        ({"threshold": 0}, ValueError, "at least 1 or None; found 0"),
        ({"threshold": 5.0}, TypeError, "whole number"),
        ({"threshold": True}, TypeError, "whole number"),
        ({"labels_key": "batch_"}, KeyError, "labels_key='batch_'"),
        (
            {"labels_key": ["type"]},
            TypeError,
            r"labels_key must be text; found \['type'\]",
        ),
        ({"labels_key": "one"}, ValueError, "at least two types"),
    ],
)
def test_bad_requests(typed, function, arguments, error, match):
    typed.obs["one"] = "T"
    with pytest.raises(error, match=match):
        function(typed, **{"labels_key": "type", **arguments})


def test_labels_of_a_modality_are_pointed_to(typed):
    first = next(iter(typed.mod))
    typed[first].obs["own"] = "T"
    with pytest.raises(KeyError, match=rf"mdata\['{first}'\].obs has it: mdata.obs\['own'\] = "):
        oversample(typed, "own")


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize("name", ["copy_of", "mixed_with"])
def test_labels_are_not_the_column_that_is_written(typed, function, name):
    typed.obs[name] = typed.obs["type"]
    with pytest.raises(ValueError, match=f"labels_key='{name}' is the column in which new cells say"):
        function(typed, name)
