import scmoe
from scmoe.datasets._read import read
from scmoe.datasets._write import write
from scmoe.explain._conflict import conflict_table

QUICK = {"n_batches": 2, "batch_size": 40}


def test_writes_its_table_alone(paired, trained, contents, written):
    before = contents(paired)
    scmoe.tl.gradient_conflict(paired, trained, key_added="a", **QUICK)
    assert written(before, paired) == {"uns/a/gradient_conflict"}


def test_all_definitions_unless_one_is_named(paired, trained):
    scmoe.tl.gradient_conflict(paired, trained, **QUICK)
    table = paired.uns["scmoe"]["gradient_conflict"]
    assert table["definition"].tolist() == ["target", "source", "token", "task"]
    scmoe.tl.gradient_conflict(paired, trained, definition="token", **QUICK)
    again = paired.uns["scmoe"]["gradient_conflict"]
    assert again["definition"].tolist() == ["token"]
    assert again["cosine"].item() == table.set_index("definition").loc["token", "cosine"]


def test_table_is_that_of_the_grams(mosaic, trained_mosaic):
    scmoe.tl.gradient_conflict(mosaic, trained_mosaic, definition="source", seed=3, **QUICK)
    found = trained_mosaic.get_gradient_conflict(mosaic, definition="source", seed=3, **QUICK)
    expected = conflict_table(found.gram, found.reference, found.names, "source")
    assert mosaic.uns["scmoe"]["gradient_conflict"]["cosine"].tolist() == expected["cosine"].tolist()


def test_table_survives_a_file(paired, trained, tmp_path):
    scmoe.tl.gradient_conflict(paired, trained, **QUICK)
    write(paired, tmp_path / "a.h5mu")
    table = read(tmp_path / "a.h5mu").uns["scmoe"]["gradient_conflict"]
    assert table["first"].astype(str).tolist() == ["rna", "rna", "rna", "reconstruction"]
