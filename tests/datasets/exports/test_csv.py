import csv
import gzip

import numpy as np
import pandas as pd
import pytest

import scmoe
from scmoe.datasets.exports import _csv
from scmoe.datasets.exports._csv import FORMULA, without_formulas


def rows(path) -> list[list[str]]:
    """By Python's own reader."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_tables_hold_what_is_stored(result, tmp_path):
    scmoe.datasets.export(result, tmp_path / "out", to="csv")
    header, *cells = rows(tmp_path / "out" / "cells.csv")
    assert header[0] == "cell" and [row[0] for row in cells] == list(result.obs_names)
    columns = {name: [row[i] for row in cells] for i, name in enumerate(header)}
    assert columns["scmoe_label"] == list(result.obs["scmoe_label"].astype(str))
    np.testing.assert_allclose(np.array(columns["umap2"], float), result.obsm["X_umap"][:, 1], rtol=1e-7)
    assert columns["has_rna"] == [str(name in result["rna"].obs_names) for name in result.obs_names]
    embedding = np.array([row[1:] for row in rows(tmp_path / "out" / "embedding.csv")[1:]], float)
    np.testing.assert_array_equal(embedding.astype(np.float32), result.obsm["X_scmoe"])
    markers, own = rows(tmp_path / "out" / "markers.csv"), result.uns["scmoe"]["markers"]
    assert markers[0] == list(own) and len(markers) == len(own) + 1
    prediction, frame = rows(tmp_path / "out" / "predicted_adt_from_rna.csv"), result.obsm["scmoe_adt_from_rna"]
    assert prediction[0][1:] == list(frame)
    gaps = (np.array(prediction[1:])[:, 1:] == "").any(axis=1)
    np.testing.assert_array_equal(gaps, frame.isna().any(axis=1))
    readme = (tmp_path / "out" / "README.txt").read_text()
    assert all(file.name in readme for file in (tmp_path / "out").iterdir() if file.name != "README.txt")


def test_no_text_begins_like_a_formula(result, tmp_path):
    mdata = result.copy()
    mdata.obs["@column"] = ["+1", "-1"] * (mdata.n_obs // 2)
    scmoe.datasets.export(mdata, tmp_path / "out", to="csv")
    header, *cells = rows(tmp_path / "out" / "cells.csv")
    columns = {name: [row[i] for row in cells] for i, name in enumerate(header)}
    assert set(columns["strange"]) == {"'=2+3", 'a,"b"', "<b>&</b>\nx"}
    assert set(columns["'@column"]) == {"'+1", "'-1"}
    assert any(float(value) < 0 for value in columns["umap1"] + columns["umap2"])  # numbers stay numbers
    assert (
        f"{mdata.n_obs + mdata.n_obs // 3 + 1} texts begin like a formula"
        in (tmp_path / "out" / "README.txt").read_text()
    )


def test_names_of_cells_are_guarded_too():
    frame, n = without_formulas(pd.DataFrame({"a": [1.0, -2.0]}, index=["=1", "b"]))
    assert list(frame.index) == ["'=1", "b"] and n == 1 and list(frame["a"]) == [1.0, -2.0]
    assert not frame.index[0].startswith(FORMULA)


def test_large_tables_are_compressed(result, tmp_path, monkeypatch):
    monkeypatch.setattr(_csv, "LARGE", 10)
    scmoe.datasets.export(result, tmp_path / "out", to="csv")
    assert len(rows(tmp_path / "out" / "cells.csv.gz")) == result.n_obs + 1


def test_a_folder_with_other_files_is_kept(result, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="is there already"):
        scmoe.datasets.export(result, tmp_path / "out", to="csv")
    with pytest.raises(ValueError, match=r"holds files that would be lost: mine\.txt"):
        scmoe.datasets.export(result, tmp_path / "out", to="csv", overwrite=True)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine.txt"]
