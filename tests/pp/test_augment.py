import logging

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scmoe.pp import augment, prepare
from scmoe.pp._augment import NO_PARTNER, partners, thinned


def dense(matrix) -> np.ndarray:
    return np.asarray(matrix.todense() if sparse.issparse(matrix) else matrix)


@pytest.fixture
def rare(raw):
    """Type "NK" with 2 cells, "lone" with 1, and the others."""
    label = raw.obs["cell_type"].astype(str).replace("NK", "T")
    label.iloc[[3, 8]], label.iloc[40] = "NK", "lone"
    raw.obs["type"] = pd.Categorical(label)
    return raw


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_thinned_counts_are_binomial(kind):
    counts, kept = np.tile([0.0, 3, 200], (4000, 1)), np.repeat([0.5, 0.8], 2000)
    found = dense(thinned(kind(counts), kept, np.random.default_rng(0)))
    assert (found == found.round()).all() and (found <= counts).all()
    for share in (0.5, 0.8):
        part = found[kept == share]
        np.testing.assert_allclose(part.mean(axis=0), counts[0] * share, rtol=0.03)
        np.testing.assert_allclose(part[:, 2].var(), 200 * share * (1 - share), rtol=0.15)


@pytest.mark.parametrize("modality", ["rna", "adt"])
def test_thin_keeps_at_least_half_of_one_cell_in_all_modalities(rare, modality):
    out = augment(rare, "type", threshold=30)
    new = out.obs_names[out.obs["copy_of"] != out.obs_names]
    made = dense(out[modality][new].X)
    parent = dense(rare[modality][out.obs.loc[new, "copy_of"].to_list()].X)
    assert (made <= parent).all() and (made == made.round()).all()
    assert 0.5 < made.sum() / parent.sum() < 1
    shares = [
        dense(out[m][new].X).sum(1) / dense(rare[m][out.obs.loc[new, "copy_of"].to_list()].X).sum(1) for m in rare.mod
    ]
    assert np.corrcoef(shares)[0, 1] > 0.5


def test_mix_takes_from_two_cells_of_the_type(rare):
    out = augment(rare, "type", method="mix", threshold=30)
    made = dense(out["rna"][out.obs_names[(out.obs["type"] == "NK") & (out.obs["copy_of"] != out.obs_names)]].X)
    first, second = dense(rare["rna"][rare.obs_names[[3, 8]]].X)
    assert (made <= first + second).all()
    assert (made[:, (first > 0) & (second == 0)].sum() > 0) and (made[:, (first == 0) & (second > 0)].sum() > 0)
    totals = made.sum(axis=1)
    assert min(first.sum(), second.sum()) * 0.8 < totals.mean() < max(first.sum(), second.sum()) * 1.2


def test_a_cell_alone_in_its_type_is_thinned_and_reported(rare, caplog):
    logging.getLogger("scmoe").addHandler(caplog.handler)
    out = augment(rare, "type", method="mix", threshold=30)
    made = dense(out["rna"][out.obs_names[out.obs["copy_of"] == rare.obs_names[40]]].X)
    assert (made[1:] <= made[0]).all() and len(made) == 30
    assert "29 cells without another to mix with are thinned instead: lone" in caplog.text


def test_partners_share_label_and_modalities():
    rng = np.random.default_rng(0)
    labels, presence = rng.integers(3, size=60), rng.random((60, 2)) < 0.7
    first = rng.integers(60, size=500)
    second = partners(first, labels, presence, rng)
    alike = (labels[:, None] == labels) & (presence[:, None] == presence).all(axis=2) & ~np.eye(60, dtype=bool)
    found = second != NO_PARTNER
    assert alike[first[found], second[found]].all()
    assert (found == alike[first].any(axis=1)).all()


def test_partners_are_all_drawn():
    second = partners(np.full(200, 1), np.zeros(4), np.ones((4, 1), dtype=bool), np.random.default_rng(0))
    assert set(second) == {0, 2, 3}


@pytest.mark.parametrize("method", ["thin", "mix"])
def test_prepared_values_are_those_of_the_new_counts(rare, method):
    prepare(rare)
    del rare.uns["scmoe"]  # the values say how they were made
    out = augment(rare, "type", method=method, threshold=30)
    again = out.copy()
    prepare(again)
    for modality in rare.mod:
        assert type(out[modality].X) is type(rare[modality].X)
        np.testing.assert_allclose(dense(out[modality].X), dense(again[modality].X), atol=1e-6)
        assert out[modality].layers["counts"].dtype == rare[modality].layers["counts"].dtype


def test_new_cells_have_the_modalities_with_counts_that_their_parent_has(mosaic):
    out = augment(mosaic, "cell_type", method="mix")
    new = out.obs_names[out.obs["copy_of"] != out.obs_names]
    for cell in new:
        assert cell not in out["ephys"].obs_names
        for modality in ("rna", "adt"):
            assert (cell in out[modality].obs_names) == (out.obs.at[cell, "copy_of"] in mosaic[modality].obs_names)
    np.testing.assert_array_equal(out["ephys"][mosaic["ephys"].obs_names].X, mosaic["ephys"].X)


def test_what_was_computed_without_the_new_cells_is_left_out(rare):
    rare["rna"].layers["smooth"], rare["rna"].obsm["X_pca"] = rare["rna"].X.copy(), np.zeros((rare.n_obs, 2))
    rare.obsm["X_map"] = np.zeros((rare.n_obs, 2))
    out = augment(rare, "type", threshold=30)
    assert not out["rna"].layers and not out["rna"].obsm and "X_map" not in out.obsm


def test_values_are_refused_that_no_count_explains(rare):
    with pytest.raises(ValueError, match="method must be one of 'thin', 'mix'"):
        augment(rare, "type", method="smote")
    prepare(rare)
    rare["rna"].X = rare["rna"].X * 2
    with pytest.raises(ValueError, match="X was not made from layers"):
        augment(rare, "type")
    adata = rare["rna"].copy()
    adata.obs["type"] = rare.obs["type"]
    del adata.layers["counts"]
    with pytest.raises(ValueError, match="must hold raw counts"):
        augment(adata, "type")
    for modality in rare.mod:
        del rare[modality].layers["counts"]
    with pytest.raises(ValueError, match="none of rna, adt has some"):
        augment(rare, "type")


def test_both_parents_of_a_mixed_cell_are_named(rare):
    more = augment(rare, "type", method="mix", threshold=10)
    real = more.obs["copy_of"] == more.obs_names
    assert (more.obs["mixed_with"][real] == more.obs_names[real]).all()
    kind = rare.obs["type"].astype(str)
    for name, cell in more.obs[~real].iterrows():
        assert kind[cell["copy_of"]] == kind[cell["mixed_with"]] == cell["type"], name
    alone = more.obs["type"] == "lone"
    assert (more.obs["mixed_with"][alone] == more.obs["copy_of"][alone]).all()
    assert (more.obs["mixed_with"] != more.obs["copy_of"])[~real & ~alone].all()
    assert "mixed_with" not in augment(rare, "type", method="thin", threshold=10).obs


def test_a_split_of_another_name_is_a_split(rare):
    from scmoe.pp import split

    split(rare, labels_key="cell_type", key_added="part")
    with pytest.raises(ValueError, match=r"obs\['part'\] has cells of 3 parts .*Resampling before the division"):
        augment(rare, "type", method="mix")


@pytest.mark.parametrize("method", ["thin", "mix"])
def test_new_cells_lack_what_their_parents_lack(raw, method):
    adt = raw["adt"]
    in_second = (raw.obs["batch"].loc[adt.obs_names] == "donor2").to_numpy()
    adt.X[np.ix_(in_second, [1, 2])] = np.nan
    raw.obs["few"] = np.where(np.arange(raw.n_obs) < 10, "rare", "common")
    prepare(raw)
    more = augment(raw, "few", method=method, threshold=40)
    new = more["adt"][more.obs_names[raw.n_obs :]]
    assert new.n_obs == 30
    lacks = (raw.obs["batch"].loc[more.obs["copy_of"].loc[new.obs_names]] == "donor2").to_numpy()
    if method == "mix":
        lacks = lacks | (raw.obs["batch"].loc[more.obs["mixed_with"].loc[new.obs_names]] == "donor2").to_numpy()
    np.testing.assert_array_equal(np.isnan(new.X[:, 1]), lacks)
    assert not np.isnan(new.X[:, 3:]).any()
