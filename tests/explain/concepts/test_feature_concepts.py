import numpy as np
import pytest
from mudata import MuData
from scipy import sparse

from scmoe.data._setup import Setup
from scmoe.explain.concepts._cells import View
from scmoe.explain.concepts._features import (
    choose_columns,
    complete_cells,
    missing_rate_bands,
    missing_rate_concepts,
    mix,
    modality_concepts,
    random_partners,
)

ALL = np.ones(120, dtype=bool)


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


@pytest.fixture
def setup(paired):
    return Setup.from_mudata(paired, batch_key="batch", labels_key="cell_type")


def test_altered_cells_have_their_own_values_where_kept_and_the_others_elsewhere(paired, setup):
    own, other = np.array([3, 8]), np.array([50, 4])
    keep = {"rna": np.arange(60) < 10}
    altered = mix(paired, setup, own, other, keep)
    for name in ("rna", "adt"):
        all_cells = dense(paired[name][paired.obs_names].X)
        kept = keep.get(name, np.zeros(all_cells.shape[1], dtype=bool))
        np.testing.assert_array_equal(dense(altered[name].X), np.where(kept, all_cells[own], all_cells[other]))
    assert altered.obs["batch"].tolist() == paired.obs["batch"].iloc[own].tolist()


def test_columns_of_sparse_and_dense_matrices():
    rng = np.random.default_rng(0)
    own, other = rng.poisson(1, (2, 4, 6))
    mask = rng.random(6) < 0.5
    found = choose_columns(sparse.csr_matrix(own), sparse.csr_matrix(other), mask)
    np.testing.assert_array_equal(found.toarray(), choose_columns(own, other, mask))


def test_altered_cells_are_read_by_the_model_as_they_are(paired, trained):
    """Of a cell that is mixed with itself, the model sees what it sees of the cell."""
    cells = np.array([5, 7, 30])
    altered = mix(paired, trained.setup, cells, cells, {"rna": np.arange(60) < 10})
    np.testing.assert_array_equal(
        trained.get_activations("input", altered), trained.get_activations("input", paired, cells.tolist())
    )


def test_donors_are_of_the_same_batch():
    batch = np.array([0, 1] * 50)
    cells = np.arange(20)
    found = random_partners(cells, np.arange(100) >= 60, batch, np.random.default_rng(0))
    assert (batch[found] == batch[cells]).all() and (found >= 60).all() and len(set(found)) > 5


def test_sets_are_made_of_the_target_s_cells(paired, setup):
    seen: list[MuData] = []

    def encode(altered):
        seen.append(altered)
        return np.zeros((altered.n_obs, 1), np.float32)

    target = (paired.obs["cell_type"] != "NK").to_numpy()
    view = View(mdata=paired, setup=setup, activations=np.zeros((120, 1), np.float32), encode=encode, n_pool=20)
    rna, _ = modality_concepts(paired, setup)
    rna.sets(view, target, np.random.default_rng(0))
    positives, pool = seen
    assert target[paired.obs_names.get_indexer([*positives.obs_names, *pool.obs_names])].all()
    assert not set(positives.obs_names) & set(pool.obs_names)
    kept = dense(paired["rna"][positives.obs_names].X)
    np.testing.assert_array_equal(dense(positives["rna"][positives.obs_names].X), kept)
    assert (dense(pool["rna"].X) != dense(paired["rna"][pool.obs_names].X)).any()
    np.testing.assert_array_equal(pool["adt"].X, paired["adt"][pool.obs_names].X)


def test_cells_that_lack_a_modality_are_not_altered(mosaic):
    setup = Setup.from_mudata(mosaic)
    complete = complete_cells(mosaic, setup)
    assert complete.sum() == sum(all(cell in mosaic[m].obs_names for m in mosaic.mod) for cell in mosaic.obs_names)


def test_one_modality_is_no_concept(single):
    assert modality_concepts(single, Setup.from_mudata(single)) == []


def test_bands_hold_the_genes_of_their_missing_rate_and_as_many_rivals(raw, paired, setup):
    concepts = missing_rate_concepts(paired, setup, "rna", ALL, seed=0)
    rate = (dense(raw["rna"].X) == 0).mean(0)
    sizes = set()
    for concept in concepts:
        low, high = (int(part) / 100 for part in concept.name.split()[2].split("-"))
        keep, rival = concept.keep["rna"], concept.rival["rna"]
        assert ((rate[keep] > low) | (low == 0)).all() and (rate[keep] <= high).all()
        assert not (keep & rival).any() and keep.sum() == rival.sum()
        sizes.add(keep.sum())
    assert len(concepts) >= 2 and len(sizes) == 1


@pytest.mark.parametrize(
    ("modality", "match"),
    [("atac", "no modality of the model; it has rna, adt"), ("adt", "two bands of 10 genes; mdata\\['adt'\\] has")],
)
def test_missing_rates_that_cannot_be_had(paired, setup, modality, match):
    with pytest.raises(ValueError, match=match):
        missing_rate_concepts(paired, setup, modality, ALL, seed=0)


def test_missing_rates_of_logarithms_are_those_of_the_counts(raw, paired, setup):
    of_counts = missing_rate_bands(paired, setup, "rna", ALL)
    del paired["rna"].layers["counts"]
    for first, second in zip(of_counts, missing_rate_bands(paired, setup, "rna", ALL), strict=True):
        np.testing.assert_array_equal(first, second)
    paired["rna"].X = paired["rna"].X - paired["rna"].X.mean(0)
    with pytest.raises(ValueError, match="zeros say that nothing was found.*below zero"):
        missing_rate_concepts(paired, setup, "rna", ALL, seed=0)


def test_all_modalities_must_be_there(single, setup):
    with pytest.raises(ValueError, match="the data lack 'adt'"):
        modality_concepts(single, setup)
