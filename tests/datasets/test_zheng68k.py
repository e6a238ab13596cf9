"""Zheng 68k from small files of the same layout, from a folder or a server on 127.0.0.1."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.io import mmwrite

from scmoe.datasets import _zheng68k, zheng68k

COUNTS = np.array([[0, 1, 0, 3], [2, 0, 0, 0], [0, 0, 5, 1]])
"""Cells x genes."""
CELLS = ["AAACATACACCCAA-1", "AAACATACCCCTCA-1", "AAACATACCGGAGA-1"]
GENES = [("ENSG1", "CD4"), ("ENSG2", "NA"), ("ENSG3", "CD4"), ("ENSG4", "CD8A")]
LABELS = pd.DataFrame(
    {
        "TSNE.1": [0.5, -1.0, 2.0],
        "TSNE.2": [1.0, 2.0, 3.0],
        "barcodes": [CELLS[2], CELLS[0], CELLS[1]],
        "celltype": ["CD19+ B", "CD8+ Cytotoxic T", "CD8+ Cytotoxic T"],
    }
)
ARCHIVE = "fresh_68k_pbmc_donor_a_filtered_gene_bc_matrices.tar.gz"
ANNOTATION = "68k_pbmc_barcodes_annotation.tsv"


def parts() -> dict[str, bytes]:
    matrix = io.BytesIO()
    mmwrite(matrix, sparse.coo_matrix(COUNTS.T))
    names = {"genes.tsv": "\n".join(map("\t".join, GENES)), "barcodes.tsv": "\n".join(CELLS)}
    inside = {name: text.encode() + b"\n" for name, text in names.items()} | {"matrix.mtx": matrix.getvalue()}
    return {f"filtered_matrices_mex/hg19/{name}": content for name, content in inside.items()}


def write(folder: Path, content: dict[str, bytes] | None = None, labels: pd.DataFrame = LABELS) -> Path:
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / ARCHIVE, "w:gz") as archive:
        top = tarfile.TarInfo("filtered_matrices_mex")
        top.type = tarfile.DIRTYPE
        archive.addfile(top)
        for name, data in (parts() if content is None else content).items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    labels.to_csv(folder / ANNOTATION, sep="\t", index=False)
    return folder


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable) -> list[str]:
    """A server with the files in place of both sites, an empty cache, and the paths asked for."""
    monkeypatch.setenv("SCMOE_DATA_DIR", str(tmp_path / "cache"))
    address, asked = serve(write(tmp_path / "served"))
    for constant, name in (("MATRICES", ARCHIVE), ("ANNOTATION", ANNOTATION)):
        assert getattr(_zheng68k, constant).endswith(f"/{name}")
        monkeypatch.setattr(_zheng68k, constant, f"{address}/{name}")
    return asked


def test_counts_are_cells_by_genes_and_labels_are_matched_by_barcode(tmp_path: Path) -> None:
    adata = zheng68k(write(tmp_path / "data"))
    assert adata.X.format == "csr"
    assert adata.X.dtype == np.float32
    np.testing.assert_array_equal(adata.X.toarray(), COUNTS)
    assert adata.obs_names.tolist() == CELLS
    assert adata.obs["cell_type"].tolist() == ["CD8+ Cytotoxic T", "CD8+ Cytotoxic T", "CD19+ B"]
    assert adata.var_names.tolist() == ["CD4", "NA", "CD4-1", "CD8A"]
    assert adata.var["gene_ids"].tolist() == ["ENSG1", "ENSG2", "ENSG3", "ENSG4"]


def test_download_is_what_the_folder_gives_and_is_asked_for_once(
    served: list[str], tmp_path: Path, contents: Callable
) -> None:
    for _ in range(2):
        found, expected = zheng68k(), zheng68k(tmp_path / "served")
        assert contents(found.obs) == contents(expected.obs)
        np.testing.assert_array_equal(found.X.toarray(), expected.X.toarray())
    assert sorted(served) == [f"/{ANNOTATION}", f"/{ARCHIVE}"]


@pytest.mark.parametrize("name", [ARCHIVE, ANNOTATION])
def test_page_in_place_of_a_file_is_refused(served: list[str], tmp_path: Path, name: str) -> None:
    (tmp_path / "served" / name).write_text("<html>Please log in</html>")
    with pytest.raises(ConnectionError, match=f"{name} answered with another file"):
        zheng68k()


def test_nothing_of_the_archive_is_written(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    content = parts() | {str(outside): b"x", "../outside.txt": b"x"}
    folder = write(tmp_path / "data", content)
    before = sorted(tmp_path.rglob("*"))
    zheng68k(folder)
    assert sorted(tmp_path.rglob("*")) == before


def test_folder_that_lacks_a_file_is_named(tmp_path: Path) -> None:
    (write(tmp_path / "data") / ANNOTATION).unlink()
    with pytest.raises(FileNotFoundError, match=f"no file .*{ANNOTATION}. .* from https://raw"):
        zheng68k(tmp_path / "data")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_archive_that_is_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    file = write(tmp_path / "data") / ARCHIVE
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=f"{ARCHIVE} cannot be read: .* download it again"):
        zheng68k(tmp_path / "data")


def without(name: str) -> dict[str, bytes]:
    return {path: data for path, data in parts().items() if not path.endswith(name)}


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (without("genes.tsv"), "must have matrix.mtx, genes.tsv, barcodes.tsv; found no genes.tsv"),
        (without("barcodes.tsv") | {"a/barcodes.tsv": b"A-1\n"}, "counts of 4 genes x 1 cells, .*; found 4 x 3"),
        (parts() | {"filtered_matrices_mex/mm10/genes.tsv": b"E\tA\n"}, "two files genes.tsv, where one genome"),
        (without("matrix.mtx") | {"a/matrix.mtx": b"nothing\n"}, "cannot be read: .* download it again"),
    ],
)
def test_archive_that_does_not_fit_is_refused(tmp_path: Path, content: dict[str, bytes], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        zheng68k(write(tmp_path / "data", content))


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (
            LABELS.drop(columns="celltype"),
            "the columns barcodes and celltype; found no celltype but TSNE.1, TSNE.2, barcodes",
        ),
        (LABELS.replace(CELLS[0], "other"), f"lacks the cell '{CELLS[0]}' of the counts .1 of 3 cells"),
        (LABELS.replace(CELLS[0], CELLS[1]), f"has the barcode '{CELLS[1]}' twice"),
    ],
)
def test_annotation_that_does_not_fit_is_refused(tmp_path: Path, labels: pd.DataFrame, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        zheng68k(write(tmp_path / "data", labels=labels))
