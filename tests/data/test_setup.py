"""What a model takes down about a MuData."""

import json

import pandas as pd
import pytest

from scmoe.data._setup import Setup


def test_describes_the_data_and_changes_nothing(paired, contents):
    before = contents(paired)
    setup = Setup.from_mudata(paired, batch_key="batch", labels_key="cell_type")
    assert contents(paired) == before
    assert setup.modalities == ["rna", "adt"]
    assert setup.layers == {"rna": None, "adt": None}
    assert setup.likelihoods == {"rna": "gaussian", "adt": "gaussian"}
    assert setup.feature_names["adt"] == [f"protein{i}" for i in range(12)]
    assert (setup.batches, setup.labels) == (["donor1", "donor2"], ["B", "NK", "T"])


def test_survives_json(mosaic):
    setup = Setup.from_mudata(mosaic, batch_key="batch")
    assert Setup(**json.loads(json.dumps(setup.to_dict()))) == setup


def test_modalities_in_the_order_asked_for(mosaic):
    assert Setup.from_mudata(mosaic, modalities=["ephys", "rna", "adt"]).modalities == ["ephys", "rna", "adt"]


@pytest.mark.parametrize("likelihood", ["nb", "poisson", "bernoulli"])
def test_likelihoods_of_counts_read_the_kept_counts(paired, likelihood):
    setup = Setup.from_mudata(paired, likelihoods={"rna": likelihood})
    assert setup.layers == {"rna": "counts", "adt": None}


def test_a_layer_asked_for_is_used(paired):
    paired["rna"].layers["twice"] = paired["rna"].layers["counts"] * 2
    assert Setup.from_mudata(paired, layers={"rna": "twice"}, likelihoods={"rna": "nb"}).layers["rna"] == "twice"


def test_counts_may_be_declared_gaussian(raw):
    setup = Setup.from_mudata(raw, likelihoods={"rna": "gaussian", "adt": "gaussian"})
    assert set(setup.likelihoods.values()) == {"gaussian"}


@pytest.mark.parametrize("likelihood", ["nb", "gaussian"])
def test_counts_have_no_total_that_a_query_is_brought_to(paired, likelihood):
    """The exponentials of counts above 709 are infinite, and so is all that cells may differ by."""
    paired["rna"].layers["counts"][:2, 0] = 800
    setup = Setup.from_mudata(paired, layers={"rna": "counts"}, likelihoods={"rna": likelihood})
    assert "rna" not in setup.totals


def test_the_unlabeled_category_is_no_label(paired):
    paired.obs["cell_type"] = paired.obs["cell_type"].astype(str).replace("NK", "none")
    setup = Setup.from_mudata(paired, labels_key="cell_type", unlabeled_category="none")
    assert setup.labels == ["B", "T"]


def test_numbers_as_labels_and_unused_categories(paired):
    codes = paired.obs["cell_type"].cat.codes
    paired.obs["number"] = pd.Categorical(codes, categories=[0, 1, 2, 7])
    assert Setup.from_mudata(paired, labels_key="number").labels == ["0", "1", "2"]
