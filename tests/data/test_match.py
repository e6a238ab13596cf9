"""Features of a query: how many are enough, and what is said about the others."""

import logging

import pytest
from mudata import MuData

from scmoe.data._match import find_features, log_missing
from scmoe.data._setup import Setup
from scmoe.io._quiet import quiet_mudata


def with_genes(mdata: MuData, names: list[str]) -> MuData:
    """The first cells' genes under these names; fewer names, fewer genes."""
    genes = mdata["rna"][:, : len(names)].copy()
    genes.var_names = names
    with quiet_mudata():
        return MuData({"rna": genes, "adt": mdata["adt"].copy()})


def test_each_feature_is_found_by_name(paired):
    setup = Setup.from_mudata(paired)
    query = with_genes(paired, ["gene7", "other", "gene3", *(f"gene{i}" for i in range(10, 20))])
    columns = find_features(query, "rna", setup)
    assert columns.shape == (60,)
    assert {i: int(column) for i, column in enumerate(columns) if column >= 0} == {7: 0, 3: 2} | {
        i: i - 7 for i in range(10, 20)
    }


def test_what_is_missing_is_said_once(paired, caplog, monkeypatch):
    monkeypatch.setattr("scmoe.data._match.logger.propagate", True)
    log_missing.cache_clear()
    setup = Setup.from_mudata(paired)
    query = with_genes(paired, [f"gene{i}" for i in range(12)])
    with caplog.at_level(logging.WARNING, logger="scmoe"):
        for _ in range(3):
            for name in setup.modalities:
                find_features(query, name, setup)
    assert {record.message for record in caplog.records} == {
        "rna: 12 of the model's 60 features found; the others are masked, and filled with what these let expect"
    }
    log_missing.cache_clear()


def test_nothing_is_said_about_features_that_the_model_does_not_know(paired, caplog, monkeypatch):
    monkeypatch.setattr("scmoe.data._match.logger.propagate", True)
    setup = Setup.from_mudata(with_genes(paired, [f"gene{i}" for i in range(10)]))
    find_features(paired, "rna", setup)
    assert not caplog.records


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (
            [f"ENSG{i}" for i in range(60)],
            r"mdata\['rna'\] has 0 of the model's 60 features, and at least 10% are needed\. The model's are 'gene0', "
            r"'gene1', .*those of the data are 'ENSG0', 'ENSG1', .*\(Ensembl\) and the other symbols, set "
            r"mdata\['rna'\]\.var_names",
        ),
        ([f"gene{i}" for i in range(5)], "has 5 of the model's 60 features"),
    ],
    ids=["no overlap", "less than a tenth"],
)
def test_too_few_features_are_refused(paired, names, match):
    setup = Setup.from_mudata(paired)
    with pytest.raises(ValueError, match=match):
        find_features(with_genes(paired, names), "rna", setup)


def test_a_tenth_of_the_features_is_enough(paired):
    setup = Setup.from_mudata(paired)
    assert (find_features(with_genes(paired, [f"gene{i}" for i in range(6)]), "rna", setup) >= 0).sum() == 6


@pytest.mark.parametrize("likelihood", ["nb", "poisson", "bernoulli"])
def test_a_model_of_counts_needs_all_features(paired, likelihood):
    setup = Setup.from_mudata(paired, likelihoods={"rna": likelihood})
    with pytest.raises(
        ValueError, match=rf"lacks 2 of .*: 'gene58', 'gene59'\. A model of counts \('{likelihood}'\) needs"
    ):
        find_features(with_genes(paired, [f"gene{i}" for i in range(58)]), "rna", setup)
