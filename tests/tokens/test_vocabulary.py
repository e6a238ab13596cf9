import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from scmoe.tokens._vocabulary import Vocabulary

ACTB, GAPDH = "ENSG00000075624", "ENSG00000111640"
HUMAN = tuple(f"ENSG{i:011d}" for i in range(10))
MOUSE = tuple(f"ENSMUSG{i:011d}" for i in range(10))
SYMBOLS = tuple(f"GENE{i}" for i in range(10))
FORMATS = (np.asarray, sparse.csr_matrix, sparse.csc_matrix, sparse.coo_matrix, sparse.csr_array)


@pytest.fixture
def adata() -> AnnData:
    data = AnnData(np.ones((2, 3), np.float32))
    data.var_names = ["GAPDH", "ACTB", "NA"]
    data.var["gene_ids"] = [GAPDH, f"{ACTB}.17", None]
    return data


def test_from_anndata(adata: AnnData) -> None:
    vocabulary = Vocabulary.from_anndata(adata, column="gene_ids")
    assert vocabulary.names == ("GAPDH", "ACTB", "NA") and len(vocabulary) == 3
    assert vocabulary.positions([ACTB, GAPDH, "ACTB", "None"]).tolist() == [1, 0, 1, -1]


def test_from_anndata_keeps_the_first_of_repeated_names(adata: AnnData) -> None:
    adata.var_names = ["B", "A", "B"]
    assert Vocabulary.from_anndata(adata).names == ("B", "A")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("genes.json", '["A1BG", "A1CF", "NA"]'),
        ("genes.json", '{"A1CF": 1, "NA": 2, "A1BG": 0}'),
        ("genes.json", '{"names": ["A1BG", "A1CF", "NA"]}'),
        ("genes.tsv", "gene_name\tindex\nA1BG\t0\nA1CF\t1\nNA\t2\n"),
        ("genes.CSV", "gene,other\nA1BG,x\nA1CF,\nNA,y\n"),
        ("genes.txt", "gene\nA1BG\nA1CF\nNA\n"),
        ("genes.txt", "A1BG\nA1CF \nNA"),
        ("genes.tsv", "A1BG\tENSG1\tGene Expression\nA1CF\tENSG2\tGene Expression\nNA\tENSG3\tGene Expression\n"),
        ("genes.csv", "Gene name,Gene stable ID\nA1BG,ENSG1\nA1CF,ENSG2\nNA,\n"),
        ("genes.json", '{"<pad>": 0, "A1BG": 1, "A1CF": 2, "NA": 3, "<cls>": 4}'),
    ],
)
def test_from_file(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert Vocabulary.from_file(tmp_path / name).names == ("A1BG", "A1CF", "NA")


def test_identifiers_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text(f"gene,id\nGAPDH,{GAPDH}\nACTB,{ACTB}\nX,\nY,\n")
    vocabulary = Vocabulary.from_file(tmp_path / "g.csv", identifiers="id")
    assert vocabulary.positions([ACTB, ""]).tolist() == [1, -1]


def test_save_and_read(adata: AnnData, tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_anndata(adata, column="gene_ids")
    vocabulary.save(tmp_path / "v.json")
    again = Vocabulary.from_file(tmp_path / "v.json")
    assert (again.names, again.aliases) == (vocabulary.names, vocabulary.aliases)


def test_versions_are_cut_off_ensembl_identifiers_only() -> None:
    vocabulary = Vocabulary((f"{ACTB}.17", "AC004556.1"))
    assert vocabulary.positions([ACTB, f"{ACTB}.3", "AC004556", "AC004556.2", "AC004556.1"]).tolist() == [
        0, 0, -1, -1, 1,
    ]  # fmt: skip


def test_names_come_before_aliases() -> None:
    assert Vocabulary(("A", "B"), {"A": "B", "b": "B"}).positions(["A", "b"]).tolist() == [0, 1]


def test_identifier_of_two_genes_is_not_used(adata: AnnData, capsys: pytest.CaptureFixture[str]) -> None:
    adata.var["gene_ids"] = [ACTB, ACTB, GAPDH]
    assert Vocabulary.from_anndata(adata, column="gene_ids").aliases == {GAPDH: "NA"}
    assert (
        f"1 identifiers belong to more than one gene and are not used, the first is {ACTB}" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("genes.json", '["A", "A"]', "each gene once, found 'A' twice"),
        ("genes.json", "[]", "found none"),
        ("genes.json", '["A", "B"', "not valid JSON, or is cut short"),
        ("genes.json", '{"A": 0, "B": 2}', "no gene list: expected"),
        ("genes.json", "3", "no gene list"),
        ("genes.txt", "", "genes.txt is no table of genes"),
        ("genes.txt", "gene\n\n", "found none"),
        ("genes.csv", "gene,id\nA,1\n,2\n", "a name for each gene, found none for gene 2"),
        ("token_dictionary.pkl", "", "is a pickle, .* not opened. .* to token_dictionary.json: python -c"),
        ("genes.xlsx", "", "as .json, .csv, .tsv or .txt, found genes.xlsx"),
    ],
)
def test_bad_files(name: str, text: str, match: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=match):
        Vocabulary.from_file(tmp_path / name)


def test_unknown_columns(adata: AnnData, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="no column 'ensembl'; it has \\['gene_ids'\\]"):
        Vocabulary.from_anndata(adata, column="ensembl")
    (tmp_path / "g.csv").write_text("gene\nA\n")
    with pytest.raises(KeyError, match="no column 'id'"):
        Vocabulary.from_file(tmp_path / "g.csv", identifiers="id")
    with pytest.raises(ValueError, match="'b' is said to be the gene 'B', which is not among the names"):
        Vocabulary(("A",), {"b": "B"})


def test_a_text_is_no_list_of_names() -> None:
    with pytest.raises(TypeError, match="names must be a list of names; found 'ACTB'"):
        Vocabulary("ACTB")  # type: ignore[arg-type]


def test_saved_file_is_plain_json(tmp_path: Path) -> None:
    Vocabulary(("A",)).save(tmp_path / "v.json")
    assert json.loads((tmp_path / "v.json").read_text()) == {"names": ["A"], "aliases": {}}


def test_report() -> None:
    match = Vocabulary(("A", "B", "C", "D")).match(["B", "x", "A", "B", "c"])
    assert match.report() == {
        "n_data": 5,
        "n_vocabulary": 4,
        "n_matched": 2,
        "n_missing": 2,
        "n_unnamed": 0,
        "share": 0.5,
        "unmatched": ["x", "c"],
        "differ_in_case": ["c"],
        "duplicated": ["B"],
    }
    assert match.missing.tolist() == [False, False, True, True]
    assert str(match) == (
        "2 of the vocabulary's 4 genes are in the data, which have 5; 2 of the data are not in the vocabulary and left "
        "out: x, c (1 differ only in case: c); 1 occur more than once and are added up: B; 2 of the vocabulary are not "
        "in the data and count as unknown."
    )


def test_genes_without_a_name_are_left_out_and_counted() -> None:
    match = Vocabulary(("A", "B")).match(["A", "", "", "x", "B"])
    assert (match.n_unnamed, match.unmatched, match.position.tolist(), match.share) == (2, ["x"], [0, -1, -1, -1, 1], 1)
    assert "left out: x; 2 of the data have no name and are left out." in str(match)


def test_complete_match_says_so_in_one_clause() -> None:
    assert (
        str(Vocabulary(("A", "B")).match(["B", "A"])) == "2 of the vocabulary's 2 genes are in the data, which have 2."
    )


@pytest.mark.parametrize("convert", FORMATS)
@given(st.integers(0, 1000))
def test_apply_against_a_loop(convert: Callable, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data_genes = rng.choice(list("ABCDEFxyz"), size=8)
    dense = rng.poisson(0.7, size=(4, 8))
    vocabulary = Vocabulary(tuple("FEDCBA"))
    expected = np.zeros((4, 6))
    for column, gene in enumerate(data_genes):
        if gene in vocabulary.names:
            expected[:, vocabulary.names.index(gene)] += dense[:, column]
    matrix = convert(dense)
    found = vocabulary.match(["A", *data_genes], min_share=0).apply(
        np.hstack([np.zeros((4, 1)), dense]) if convert is np.asarray else sparse.hstack([np.zeros((4, 1)), matrix])
    )
    assert (found.toarray() == expected).all() and found.dtype == np.float32
    assert found.has_canonical_format and found.data.all()


def test_apply_leaves_the_input_and_drops_stored_zeros() -> None:
    matrix = sparse.csr_matrix((np.array([0.0, 2, 3]), np.array([1, 0, 2]), np.array([0, 3])), shape=(1, 3))
    before = matrix.copy()
    found = Vocabulary(("A", "B", "C")).match(["C", "B", "A"]).apply(matrix)
    assert (found.indices.tolist(), found.data.tolist()) == ([0, 2], [3, 2])
    assert (matrix.data == before.data).all() and (matrix.indices == before.indices).all()


def test_apply_refuses_another_number_of_genes() -> None:
    with pytest.raises(ValueError, match="Expected 2 genes as matched, found 3"):
        Vocabulary(("A", "B")).match(["A", "B"]).apply(np.ones((1, 3)))


def test_share_is_of_the_smaller_set() -> None:
    large, small = Vocabulary(tuple(f"g{i}" for i in range(1000))), [f"g{i}" for i in range(300, 400)]
    assert large.match(small).share == 1
    assert Vocabulary(tuple(small)).match(large.names).share == 1
    assert Vocabulary(tuple(small)).match(large.names[350:]).share == 0.5


@pytest.mark.parametrize(
    ("known", "given_names", "match"),
    [
        (HUMAN, MOUSE, r"0 genes.*different species \(ENSMUSG and ENSG\)"),
        (HUMAN, [f"{name}.2" for name in MOUSE], "different species"),
        (SYMBOLS, [name.title() for name in SYMBOLS], "differ only in upper and lower case.*another species"),
        (SYMBOLS, HUMAN, "data seem to hold Ensembl identifiers, and the vocabulary symbols"),
        (HUMAN, SYMBOLS, "data seem to hold symbols, and the vocabulary Ensembl identifiers"),
        (SYMBOLS, ["p1", "p2"], "have p1, p2; the vocabulary has GENE0, .*Check that the names are genes"),
        (SYMBOLS, [*SYMBOLS[:4], *"abcdef"], "4 genes of the data.*at least 50%.*lower min_share"),
    ],
)
def test_errors(known: tuple[str, ...], given_names: list[str], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Vocabulary(known).match(given_names)


def test_threshold_can_be_lowered_but_not_to_nothing() -> None:
    assert Vocabulary(SYMBOLS).match([*SYMBOLS[:4], *"abcdef"], min_share=0.4).n_matched == 4
    with pytest.raises(ValueError, match="0 genes of the data"):
        Vocabulary(SYMBOLS).match(["a"], min_share=0)
