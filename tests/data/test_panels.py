"""What was not measured, as the data set reads it: table, values, empty cells; and which features are read."""

import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import sparse

import scmoe
from scmoe.data._dataset import MosaicDataset
from scmoe.data._panels import Measured, both
from scmoe.data._setup import Setup
from scmoe.io._quiet import quiet_mudata


def everything(mdata: MuData, **arguments):
    return MosaicDataset(mdata, Setup.from_mudata(mdata, **arguments))[np.arange(mdata.n_obs)]


def zero_in_b(raw: MuData, name: str, n: int) -> np.ndarray:
    """The first `n` features become zero in the second batch; returns which cells of the MuData those are."""
    adata = raw[name]
    in_b = (raw.obs["batch"].loc[adata.obs_names].astype(str) == "donor2").to_numpy()
    x = adata.X.toarray() if sparse.issparse(adata.X) else adata.X.copy()
    x[np.ix_(in_b, np.arange(n))] = 0
    adata.X = sparse.csr_matrix(x) if sparse.issparse(adata.X) else x
    return (raw.obs["batch"].astype(str) == "donor2").to_numpy()


@pytest.mark.parametrize("name", ["rna", "adt"])
def test_a_table_of_prepare_masks_entry_by_entry(raw, name):
    in_b = zero_in_b(raw, name, 5)
    scmoe.pp.prepare(raw)
    listed = set(raw.uns["scmoe"]["missing"]["feature"])
    batch = everything(raw)
    v = list(raw.mod).index(name)
    observed = batch.observed[v].numpy()
    columns = raw[name].var_names.isin(listed)
    assert 1 <= columns.sum() <= 5
    assert not observed[np.ix_(in_b, columns)].any()
    assert observed[~in_b].all() and observed[:, ~columns].all()
    assert not batch.values[v].numpy()[~observed].any()


def test_without_the_table_a_batch_key_tells_the_same_of_genes(raw):
    zero_in_b(raw, "rna", 30)
    scmoe.pp.prepare(raw)
    expected = everything(raw, batch_key="batch")
    del raw.uns["scmoe"]
    joined = everything(raw, batch_key="batch")
    assert joined.observed[0] is not None and not joined.observed[0].all()
    np.testing.assert_array_equal(joined.observed[0], expected.observed[0])


def test_without_table_and_batch_key_columns_called_like_batches_are_looked_through(raw):
    zero_in_b(raw, "rna", 30)
    scmoe.pp.prepare(raw)
    expected = everything(raw).observed[0]
    del raw.uns["scmoe"]
    np.testing.assert_array_equal(everything(raw).observed[0], expected)


def test_zeros_are_values_if_the_user_said_so(raw):
    zero_in_b(raw, "rna", 30)
    scmoe.pp.prepare(raw, missing="never")
    assert everything(raw, batch_key="batch").observed[0] is None


@pytest.mark.parametrize("likelihood", ["nb", "poisson"])
def test_likelihoods_of_counts_do_not_see_what_was_not_measured(raw, likelihood):
    in_b = zero_in_b(raw, "adt", 5)
    scmoe.pp.prepare(raw)
    batch = everything(raw, likelihoods={"adt": likelihood})
    assert not batch.observed[1].numpy()[in_b][:, :5].any()
    assert not batch.counts[1].numpy()[in_b][:, :5].any()


def test_a_query_with_zeros_for_genes_that_it_lacks_is_one_without_them(raw):
    with quiet_mudata():
        train, query = raw[:60].copy(), raw[60:].copy()
    scmoe.pp.prepare(train)
    setup = Setup.from_mudata(train)
    rates = np.array(setup.detection["rna"])
    common = np.flatnonzero(rates >= 0.5)[::2]
    x = query["rna"].X.toarray()
    x[:, common] = 0
    query["rna"].X = sparse.csr_matrix(x)
    scmoe.pp.prepare(query)
    observed = MosaicDataset(query, setup)[np.arange(query.n_obs)].observed[0].numpy()
    assert not observed[:, common].any()
    assert observed[:, rates < 0.3].all()


def test_features_that_are_marked_are_read_and_those_set_aside_are_not(paired):
    marked = np.arange(60) % 2 == 0
    paired["rna"].var["highly_variable"] = marked
    paired["rna"].var["mine"] = ~marked
    paired["adt"].var["scmoe_set_aside"] = ["isotype control"] + [""] * 11
    names = paired["rna"].var_names
    assert Setup.from_mudata(paired).feature_names["rna"] == list(names[marked])
    assert Setup.from_mudata(paired, use_var="mine").feature_names["rna"] == list(names[~marked])
    setup = Setup.from_mudata(paired, use_var=None)
    assert setup.feature_names["rna"] == list(names)
    assert setup.feature_names["adt"] == list(paired["adt"].var_names[1:])
    values = MosaicDataset(paired, Setup.from_mudata(paired))[np.arange(5)].values[0].numpy()
    rows = paired["rna"].obs_names.get_indexer(paired.obs_names[:5])
    np.testing.assert_allclose(values, paired["rna"].X[rows][:, marked].toarray(), rtol=1e-6)


@pytest.mark.parametrize(
    ("column", "use_var", "error", "match"),
    [
        (None, "mine", KeyError, "use_var='mine' is not a column of var"),
        (None, 3, TypeError, "found 3"),
        (np.arange(60), "mine", ValueError, "must be True for the features"),
        (np.zeros(60, bool), "mine", ValueError, "No feature of"),
        (np.zeros(60, bool), "highly_variable", ValueError, "Pass use_var=None to read all"),
    ],
)
def test_bad_columns_of_features(paired, column, use_var, error, match):
    if column is not None:
        paired["rna"].var[use_var] = column
    with pytest.raises(error, match=match):
        Setup.from_mudata(paired, use_var=use_var)


def test_modalities_of_tags_are_not_read_unless_named(raw):
    with quiet_mudata():
        mdata = MuData({"rna": raw["rna"].copy(), "hto": raw["adt"].copy()})
    scmoe.pp.prepare(mdata)
    assert Setup.from_mudata(mdata).modalities == ["rna"]
    assert Setup.from_mudata(mdata, modalities=["hto"], likelihoods={"hto": "poisson"}).modalities == ["hto"]
    scmoe.pp.prepare(mdata, kinds={"rna": "custom"})
    with pytest.raises(ValueError, match="All modalities hold what is no biology of the cell: rna, hto"):
        Setup.from_mudata(mdata)


def test_whole_numbers_that_prepare_took_for_continuous_can_be_trained_on(raw):
    scmoe.pp.prepare(raw, kinds={"adt": "continuous"})
    assert Setup.from_mudata(raw).likelihoods["adt"] == "gaussian"


def test_two_sources_of_what_is_missing_are_joined():
    first = Measured(np.array([0, 0, 1]), np.array([[True, False], [True, True]]))
    second = Measured(np.array([0, 1, 1]), np.array([[True, True], [False, True]]))
    np.testing.assert_array_equal(
        both(first, second).of(np.arange(3)), first.of(np.arange(3)) & second.of(np.arange(3))
    )
    assert both(first, None) is first and both(None, second) is second


def test_a_table_without_its_column_says_nothing(raw):
    zero_in_b(raw, "adt", 5)
    scmoe.pp.prepare(raw)
    table: pd.DataFrame = raw.uns["scmoe"]["missing"]
    table["column"] = "gone"
    observed = everything(raw).observed[1]
    assert observed is not None  # NaN in X says it all the same


def test_a_feature_and_a_cell_without_any_value(paired):
    paired["adt"].X[:, 2] = np.nan
    paired["adt"].X[7] = np.nan
    setup = Setup.from_mudata(paired)
    assert setup.feature_names["adt"] == [f"protein{j}" for j in range(12) if j != 2]
    mask = MosaicDataset(paired, setup)[np.arange(paired.n_obs)].presence.mask[:, 1].numpy()
    assert list(paired.obs_names[~mask]) == [paired["adt"].obs_names[7]]


def test_counts_with_gaps_are_counts(paired):
    paired["adt"].layers["counts"][3, 5] = np.nan
    batch = everything(paired, likelihoods={"adt": "nb"})
    row = paired.obs_names.get_loc(paired["adt"].obs_names[3])
    assert not batch.observed[1][row, 5] and batch.counts[1][row, 5] == 0
    assert batch.observed[1].sum() == batch.observed[1].numel() - 1


def test_a_modality_without_a_value_is_refused(paired):
    paired["adt"].X[:] = np.nan
    with pytest.raises(ValueError, match=r"No value of mdata\['adt'\] was measured"):
        Setup.from_mudata(paired)
