import numpy as np
import pandas as pd
import pytest

from scmoe._matrix import dense
from scmoe.datasets._write import write
from scmoe.studies.replicate._data import LABEL, complete_cells, hash_of, make_sources


def test_cells_with_a_label_are_kept_in_one_order(raw):
    labels = raw.obs["cell_type"].astype(str).to_numpy(dtype=object)
    labels[:2] = [None, "Unknown"]
    raw.obs["cell_type"] = pd.Series(labels, index=raw.obs_names)
    cells = complete_cells(raw, "cell_type", "own")
    assert set(cells.obs_names) == set(raw.obs_names[2:])
    for name, adata in cells.mod.items():
        assert list(adata.obs_names) == list(cells.obs_names)
        np.testing.assert_array_equal(dense(adata.layers["counts"]), dense(raw[name][cells.obs_names].X))
    assert list(cells.obs[LABEL].astype(str)) == list(raw.obs.loc[cells.obs_names, "cell_type"])


def test_data_that_cannot_be_used_are_named(paired, single, mosaic):
    paired.obs["one"] = "same"
    for mdata, column, error, match in [
        (paired, "typo", KeyError, "'typo' is not a column of mdata.obs of own; found cell_type, batch, one"),
        (paired, "one", ValueError, "must have from 2 to 60 different values; found 1"),
        (single, "cell_type", ValueError, "own has one modality only, 'rna'"),
        (mosaic, "cell_type", ValueError, "5 folds need at least 50 cells with a label and every modality; own has 30"),
    ]:
        with pytest.raises(error, match=match):
            complete_cells(mdata, column, "own")


@pytest.mark.parametrize(
    "names, labels, match",
    [(["a.h5mu"], [], "1 file.s. and 0 column"), (["grn.h5mu"], ["x"], "called 'grn'. Rename the file")],
)
def test_files_and_columns_must_pair_up(names, labels, match, tmp_path):
    with pytest.raises(ValueError, match=match):
        make_sources(tmp_path, [tmp_path / name for name in names], labels, [0], [0])


def test_hash_follows_values_and_labels(paired):
    cells = complete_cells(paired, "cell_type", "own")
    before = hash_of(cells)
    assert hash_of(cells.copy()) == before
    cells["rna"].X = cells["rna"].X * 2
    changed = hash_of(cells)
    cells.obs[LABEL] = cells.obs[LABEL].to_numpy()[::-1]
    assert len({before, changed, hash_of(cells)}) == 3


def test_sources_are_simulated_bundled_and_read(raw, tmp_path):
    write(raw, tmp_path / "own.h5mu")
    sources = make_sources(tmp_path / "data", [tmp_path / "own.h5mu"], ["cell_type"], [3, 4], [3])
    assert [(source.name, source.seeds) for source in sources] == [
        ("grn", (3,)),
        ("grn", (4,)),
        ("bmmc_cite", (3,)),
        ("own", (3,)),
    ]
    assert (sources[-1].n_cells, sources[-1].n_labels, sources[-1].n_left_out) == (120, 3, 0)
    assert sources[0].content != sources[1].content
