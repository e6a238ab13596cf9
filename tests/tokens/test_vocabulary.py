import json
from pathlib import Path

import numpy as np
import pytest
from anndata import AnnData

from scmoe.tokens._vocabulary import Vocabulary

ACTB, GAPDH = "ENSG00000075624", "ENSG00000111640"


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
    with pytest.raises(TypeError, match="found the text 'ACTB'"):
        Vocabulary("ACTB")  # type: ignore[arg-type]


def test_saved_file_is_plain_json(tmp_path: Path) -> None:
    Vocabulary(("A",)).save(tmp_path / "v.json")
    assert json.loads((tmp_path / "v.json").read_text()) == {"names": ["A"], "aliases": {}}
