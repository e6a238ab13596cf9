"""Features of a query: how many are enough, and what is said about the others."""

import pytest
from mudata import MuData

import scmoe
from scmoe.data._match import find_features, query_notes
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


def test_what_is_missing_is_said_once_for_the_same_cells(paired, trained, capsys):
    query = with_genes(paired, [f"gene{i}" for i in range(12)])
    query.obs["batch"] = "donor1"
    line = "rna: 12 of the model's 60 features found; the others are masked, and filled with what these let expect"
    for _ in range(2):
        scmoe.tl.embed(query, trained)
        scmoe.tl.annotate(query, trained)
    assert capsys.readouterr().err.count(line) == 1
    with quiet_mudata():
        scmoe.tl.embed(query[:50].copy(), trained)  # other cells
    assert capsys.readouterr().err.count(line) == 1


def test_nothing_is_said_about_features_that_the_model_does_not_know(paired):
    setup = Setup.from_mudata(with_genes(paired, [f"gene{i}" for i in range(10)]))
    find_features(paired, "rna", setup)
    assert query_notes(paired, setup) == []


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (
            [f"ENSG{i}" for i in range(60)],
            r"mdata\['rna'\] has 0 of the model's 60 features, and at least 10% are needed\. The model's are 'gene0', "
            r"'gene1', .*those of the data are 'ENSG0', 'ENSG1', .*Check that mdata\['rna'\] holds what the model",
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
