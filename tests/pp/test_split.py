import logging

import numpy as np
import pandas as pd
import pytest

from scmoe.pp import oversample, split
from scmoe.pp._split import joined, row_codes


@pytest.fixture
def logged(caplog):
    caplog.set_level(logging.INFO, logger="scmoe")
    logging.getLogger("scmoe").addHandler(caplog.handler)
    yield caplog
    logging.getLogger("scmoe").removeHandler(caplog.handler)


@pytest.fixture
def donors(raw):
    """Six donors of unequal size."""
    raw.obs["donor"] = np.repeat([f"d{i}" for i in range(6)], [10, 30, 20, 25, 5, 30])
    return raw


def repeat(mdata, *, of: int, at: list[int]) -> None:
    """Let some cells have the values of another in all modalities."""
    for adata in mdata.mod.values():
        dense = adata.X.toarray() if not isinstance(adata.X, np.ndarray) else adata.X.copy()
        row = adata.obs_names.get_indexer(mdata.obs_names[[of, *at]])
        dense[row[1:]] = dense[row[0]]
        adata.X = type(adata.X)(dense) if not isinstance(adata.X, np.ndarray) else dense


@pytest.mark.parametrize("seed", range(3))
def test_each_label_is_divided_by_the_fractions(raw, seed):
    split(raw, labels_key="cell_type", fractions=(0.5, 0.2, 0.3), seed=seed)
    counts = pd.crosstab(raw.obs["cell_type"], raw.obs["split"])
    assert counts.columns.tolist() == ["train", "validation", "test"]
    exact = counts.sum(axis=1).to_numpy()[:, None] * [0.5, 0.2, 0.3]
    assert (np.abs(counts - exact) < 1).all(axis=None)


def test_seed_decides(raw):
    columns = []
    for seed in (0, 0, 1):
        split(raw, labels_key="cell_type", seed=seed)
        columns.append(raw.obs["split"].tolist())
    assert columns[0] == columns[1] != columns[2]


def test_only_the_column_is_written(raw, contents, written):
    before = contents(raw)
    split(raw, key_added="part")
    assert written(before, raw) == {"obs/part"}


@pytest.mark.parametrize("seed", range(3))
def test_no_donor_is_in_two_parts(donors, seed):
    split(donors, group_key="donor", seed=seed)
    assert (donors.obs.groupby("donor")["split"].nunique() == 1).all()
    assert donors.obs.groupby("split", observed=True)["donor"].nunique().tolist() in ([4, 1, 1], [3, 2, 1], [3, 1, 2])


def test_adata_is_split_too(raw):
    adata = raw["rna"].copy()
    split(adata, fractions=(0.8, 0, 0.2))
    assert adata.obs["split"].value_counts().to_dict() == {"train": 96, "test": 24, "validation": 0}


def test_codes_tell_the_same_rows(mosaic):
    expected = []
    for cell in mosaic.obs_names:
        rows = {}
        for name, adata in mosaic.mod.items():
            if cell in adata.obs_names:
                matrix = adata[cell].layers["counts"] if "counts" in adata.layers else adata[cell].X
                rows[name] = str(np.asarray(matrix.todense() if hasattr(matrix, "todense") else matrix).tolist())
        expected.append(tuple(sorted(rows.items())))
    assert len(set(row_codes(mosaic))) == len(set(expected)) == mosaic.n_obs


def test_codes_do_not_depend_on_storage(raw):
    repeat(raw, of=3, at=[7])
    rna = raw["rna"].X.tocsc().tocsr()
    rna.data[rna.indptr[7]] = 0  # a stored zero beside an absent one
    other = rna[3].tolil()
    other[0, rna.indices[rna.indptr[7]]] = 0
    raw["rna"].X = rna
    dense = raw.copy()
    dense["rna"].X = rna.toarray()
    assert row_codes(raw).tolist() == row_codes(dense).tolist()


@pytest.mark.parametrize("keys", [{}, {"labels_key": "cell_type"}, {"group_key": "donor"}])
def test_identical_cells_are_in_one_part_and_reported(donors, keys, logged):
    repeat(donors, of=0, at=[15, 60])
    for seed in range(4):
        split(donors, seed=seed, **keys)
        assert donors.obs["split"].iloc[[0, 15, 60]].nunique() == 1
    assert "2 cells have the values of another cell, the first is 'cell15', like 'cell0'" in logged.text


def test_sets_are_joined_through_others():
    first, second = np.array([0, 0, 1, 1, 2, 3]), np.array([0, 1, 1, 2, 3, 4])
    assert joined(first, second).tolist() == [0, 0, 0, 0, 1, 2]


def test_labels_with_one_cell_and_labels_not_in_training_are_reported(donors, logged):
    label = donors.obs["cell_type"].astype(str)
    label.iloc[0], label[donors.obs["donor"] == "d1"] = "lone", "only d1"
    donors.obs["label"] = label
    split(donors, labels_key="label")
    assert donors.obs["split"].iloc[0] == "train" and "single cell: lone" in logged.text
    for seed in range(20):
        logged.clear()
        split(donors, labels_key="label", group_key="donor", seed=seed)
        in_training = donors.obs.loc[donors.obs["donor"] == "d1", "split"].iloc[0] == "train"
        assert in_training != ("training has no cell of" in logged.text and "only d1" in logged.text)


def test_copies_are_refused_until_they_are_left_out(raw):
    copied = oversample(raw, "cell_type")
    with pytest.raises(ValueError, match=r"cells come from others .* 'cell\d+-copy1' from 'cell\d+'. Split first"):
        split(copied)
    real = copied[copied.obs["copy_of"] == copied.obs_names].copy()
    split(real)
    assert real.obs_names.equals(raw.obs_names)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"fractions": (0.6, 0.2, 0.3)}, ValueError, "sum to 1"),
        ({"fractions": (0.8, 0.2)}, ValueError, "three shares"),
        ({"fractions": (1.2, -0.2, 0)}, ValueError, r"fractions\[0\] must be a number from 0 to 1"),
        ({"fractions": (float("nan"), 0.5, 0.5)}, ValueError, r"fractions\[0\] must .* found nan"),
        ({"fractions": (0, 0.5, 0.5)}, ValueError, "first above 0"),
        ({"fractions": (0.998, 0.001, 0.001)}, ValueError, "No cell would be in"),
        ({"group_key": "batch"}, ValueError, "has 2 groups .* fewer than the 3 parts"),
        ({"group_key": "sample"}, KeyError, "group_key='sample'"),
        ({"group_key": "gaps"}, ValueError, "119 cells have none"),
        ({"labels_key": "cell_type", "key_added": "cell_type"}, ValueError, "would replace"),
        ({"key_added": "batch"}, ValueError, "obs.'batch'. is there already and is no division of cells: it holds"),
        ({"key_added": "a/b"}, ValueError, "key_added must be a name without '/' that files can hold"),
        ({"key_added": "_index"}, ValueError, "key_added must be a name"),
        ({"key_added": ""}, ValueError, "key_added must be a name"),
    ],
)
def test_bad_requests(raw, arguments, error, match):
    raw.obs["gaps"] = ["B", *[None] * (raw.n_obs - 1)]
    with pytest.raises(error, match=match):
        split(raw, **arguments)
    assert "split" not in raw.obs


def test_views_are_refused(raw):
    with pytest.raises(ValueError, match="view"):
        split(raw[:50])


@pytest.mark.parametrize("container", [dict, pd.Series])
def test_fractions_by_name_are_refused(raw, container):
    with pytest.raises(TypeError, match="fractions must be a list"):
        split(raw, fractions=container({"train": 0.8, "validation": 0.1, "test": 0.1}))


def test_a_division_is_replaced_by_a_later_one(raw):
    split(raw, fractions=(1, 0, 0))
    split(raw, seed=1)
    assert set(raw.obs["split"]) == {"train", "validation", "test"}


@pytest.mark.parametrize("uns", ["mine", {"split": "mine"}])
def test_notes_in_place_of_the_record_are_refused_where_it_is_needed(donors, contents, uns):
    donors.uns["scmoe"] = uns
    before = contents(donors)
    with pytest.raises(ValueError, match=r"uns\['scmoe'\].* must be free for results; found a str"):
        split(donors, group_key="donor")
    assert contents(donors) == before
    split(donors)
    assert donors.uns["scmoe"] == uns
