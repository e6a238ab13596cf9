"""Patch-seq tables of the repository's layout become one MuData: cells matched by name, missing values kept."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scmoe.datasets import _patchseq, patchseq_m1, read
from scmoe.io._quiet import quiet_mudata

META = pd.DataFrame(
    {
        "Number": [1, 2, 3, 4],
        "Cell": ["20171207_sample_1", "b", "c", "d"],
        "Mouse": ["mouse_A", "mouse_A", "mouse_B", "mouse_B"],
        "RNA family": ["ET", "Pvalb", "low quality", "Pvalb"],
        "RNA type": ["L5 ET_1", "Pvalb Reln", None, "Pvalb Reln"],
        "Yield (pg/µl)": ["95.19", "?", "3", "4"],
    }
)
EPHYS = pd.DataFrame(
    {"cell id": ["d", "20171207_sample_1", "b"], "AP width (ms)": [3, 1, 2], "Rebound (mV)": [6, 4, None]}
)
MORPH = pd.DataFrame(
    {
        "cell id": ["b", "20171207_sample_1"],
        '"apical" height': [None, 50.0],
        "axon height": [7.0, None],
        "normalized layer": ["2/3", "5"],
        "cell class": ["inh", "exc"],
    }
)
EXONS = pd.DataFrame(np.arange(12).reshape(3, 4), index=["Xkr4", "NaN", "Sox17"], columns=META["Cell"])
TABLES = {"meta_data.csv": META, "ephys_features.csv": EPHYS, "morph_features.csv": MORPH}


def write(folder: Path, **changed: pd.DataFrame) -> Path:
    folder.mkdir(exist_ok=True)
    for name, table in TABLES.items():
        table = changed.get(name.split("_")[0], table)
        table.to_csv(folder / f"m1_patchseq_{name}", sep="\t" if name == "meta_data.csv" else ",", index=False)
    counts = {"exon": EXONS, "intron": 100 * EXONS.loc[["Sox17", "Xkr4", "NaN"], ["d", *META["Cell"][:3]]]}
    for name, table in (counts | {part: changed[part] for part in counts if part in changed}).items():
        (folder / f"m1_patchseq_{name}_counts.csv.gz").write_bytes(gzip.compress(table.to_csv().encode()))
    return folder


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable) -> list[str]:
    """A server with the files in place of the repository, an empty cache, and the paths asked for."""
    monkeypatch.setenv("SCMOE_DATA_DIR", str(tmp_path / "cache"))
    address, asked = serve(write(tmp_path / "served"))
    monkeypatch.setattr(_patchseq, "REPOSITORY", f"{address}/")
    return asked


def test_files_are_pinned_to_a_commit() -> None:
    assert pd.Series([_patchseq.REPOSITORY]).str.fullmatch(r"https://\S+/berenslab/mini-atlas/[0-9a-f]{40}/data/").all()


def test_download_is_what_the_folder_gives_and_is_asked_for_once(
    served: list[str], tmp_path: Path, contents: Callable
) -> None:
    for _ in range(2):
        assert contents(patchseq_m1()) == contents(patchseq_m1(tmp_path / "served"))
    assert sorted(served) == sorted(f"/{file.name}" for file in (tmp_path / "served").iterdir())


def test_rna_is_downloaded_only_if_asked_for(served: list[str]) -> None:
    assert list(patchseq_m1(rna=False).mod) == ["ephys", "morph"]
    assert len(served) == 3


def test_page_in_place_of_a_table_is_refused(served: list[str], tmp_path: Path) -> None:
    (tmp_path / "served" / "m1_patchseq_ephys_features.csv").write_text("<html>Please log in</html>")
    with pytest.raises(
        ConnectionError, match="ephys_features.csv answered with another file: it begins with b'<html>P"
    ):
        patchseq_m1()


def test_cells_are_matched_by_name_and_missing_values_stay(tmp_path: Path) -> None:
    mdata = patchseq_m1(write(tmp_path / "data"))
    assert mdata.obs_names.tolist() == META["Cell"].tolist()
    assert mdata.obs["cell_type"].tolist() == META["RNA family"].tolist()
    assert mdata.obs["cell_subtype"].isna().tolist() == [False, False, True, False]
    assert mdata.obs["mouse"].astype(str).tolist() == META["Mouse"].tolist()
    ephys = mdata["ephys"].to_df()
    assert ephys["AP width (ms)"].to_dict() == {"20171207_sample_1": 1, "b": 2, "d": 3}
    assert np.isnan(ephys.loc["b", "Rebound (mV)"])
    np.testing.assert_array_equal(mdata["morph"].to_df().loc["b"], [np.nan, 7])


def test_annotation_is_not_a_feature_and_the_wrong_reconstruction_is_left_out(tmp_path: Path) -> None:
    morph = patchseq_m1(write(tmp_path / "data"))["morph"]
    assert morph.var_names.tolist() == ['"apical" height', "axon height"]
    assert morph.obs_names.tolist() == ["b"]


def test_counts_are_exons_and_introns_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_patchseq, "GENES_AT_ONCE", 2)  # the last piece is a smaller one
    rna = patchseq_m1(write(tmp_path / "data"))["rna"]
    assert rna.X.format == "csr"
    pd.testing.assert_frame_equal(rna.to_df().T, 101 * EXONS, check_dtype=False, check_names=False)


def test_result_survives_a_file(tmp_path: Path, contents: Callable) -> None:
    mdata = patchseq_m1(write(tmp_path / "data"))
    with quiet_mudata():
        mdata.write_h5mu(tmp_path / "a.h5mu")
    again = read(tmp_path / "a.h5mu")
    assert contents(again.obs) == contents(mdata.obs)
    np.testing.assert_array_equal(again["morph"].X, mdata["morph"].X)


@pytest.mark.parametrize(
    ("part", "table", "match"),
    [
        ("meta", META.drop(columns="Cell"), "meta_data.csv must have a column 'Cell'; found Number, Mouse"),
        ("meta", META.drop(columns="RNA type"), "must have the columns RNA family, .*; found no RNA type"),
        ("ephys", EPHYS.rename(columns={"cell id": "id"}), "ephys_features.csv must have a column 'cell id'; found id"),
        ("morph", MORPH.replace("b", "z"), "morph_features.csv has the cell 'z' that the metadata lack .1 such cells"),
        ("meta", META.replace("d", "b"), "meta_data.csv has the cell 'b' twice"),
        ("ephys", EPHYS.replace("d", "b"), "ephys_features.csv has the cell 'b' twice"),
        ("intron", EXONS.drop(columns="c"), "introns lack the cell 'c' of the exons .1 in all"),
        ("intron", EXONS.drop(index="NaN"), "introns lack the gene 'NaN' of the exons .1 in all"),
        ("exon", EXONS.rename(columns={"c": "z"}), "exon_counts.csv.gz has the cell 'z' that the metadata lack"),
    ],
)
def test_tables_that_do_not_fit_are_named(tmp_path: Path, part: str, table: pd.DataFrame, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        patchseq_m1(write(tmp_path / "data", **{part: table}))


def test_file_that_a_folder_lacks_is_named(tmp_path: Path) -> None:
    (write(tmp_path / "data") / "m1_patchseq_intron_counts.csv.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"no file .*m1_patchseq_intron_counts.csv.gz.*berenslab/mini-atlas"):
        patchseq_m1(tmp_path / "data")
