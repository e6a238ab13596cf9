"""Files that older and newer libraries wrote are read as what they are, and written again; `exchange.py` made them."""

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

import h5py
import pandas as pd
import pytest

import scmoe
from scmoe.tl._write import drop_results

ARCHIVES = sorted((Path(__file__).parent / "files").glob("*.tar.xz"))
FILES = ("cells.h5mu", "cells.zarr", "rna.h5ad", "rna.zarr")


@pytest.fixture(scope="module")
def exchange() -> ModuleType:
    path = Path(__file__).with_name("exchange.py")
    spec = importlib.util.spec_from_file_location("exchange", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda path: path.name)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    shutil.unpack_archive(request.param, folder)
    return folder


def test_there_are_files_of_an_old_and_a_new_anndata() -> None:
    assert [path.name for path in ARCHIVES] == ["anndata-0.12.tar.xz", "anndata-0.13.tar.xz"]


@pytest.mark.parametrize("name", FILES)
def test_values_come_back_and_are_written_again(exchange: ModuleType, folder: Path, name: str) -> None:
    expected = json.loads((folder / "expected.json").read_text())[name]
    assert exchange.file_is_equal(folder / name, expected) == ("equal", "yes")


@pytest.mark.parametrize("name", FILES)
def test_types_are_those_of_the_installed_pandas(folder: Path, name: str) -> None:
    mdata = scmoe.datasets.read(folder / name)
    text = pd.Index(["a"]).dtype
    assert {mdata.obs_names.dtype, mdata["rna"].obs_names.dtype, mdata["rna"].var_names.dtype} == {text}
    types = {name: str(dtype) for name, dtype in mdata.obs.dtypes.items()}
    assert types["passage"] == "Int64"
    assert types["dead"] == "boolean"
    assert types["note"] == types["cell_type"] == types["stage"] == "category"
    assert mdata.obs["stage"].cat.ordered
    assert type(mdata.axis) is int


@pytest.mark.parametrize("name", ["cells.h5mu", "cells.zarr"])
def test_results_are_used_as_if_they_were_made_here(folder: Path, name: str) -> None:
    mdata = scmoe.datasets.read(folder / name)
    scmoe.tl.cluster(mdata, n_clusters=3)
    assert mdata.obs["scmoe_cluster"].nunique() == 3
    scmoe.pp.prepare(mdata)
    assert mdata.uns["scmoe"]["prepare"]["adt"]["kind"] == "protein"


@pytest.mark.parametrize("name", ["cells.h5mu", "cells.zarr"])
def test_results_of_the_version_that_wrote_them_are_removed(folder: Path, name: str) -> None:
    """There a modality's own state was called as the joint embedding is."""
    mdata = scmoe.datasets.read(folder / name)
    assert "X_scmoe" in mdata["rna"].obsm
    drop_results(mdata, "scmoe")
    for data in (mdata, *mdata.mod.values()):
        assert not [key for key in (*data.obs, *data.obsm) if "scmoe" in key]
    assert mdata.uns["scmoe"].keys() == {"prepare"} and "stage" in mdata.obs


def from_the_future(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["mod/rna/X"].attrs["encoding-version"] = "9.9.9"
        file.attrs["encoder-version"] = "99.0"


def test_file_of_a_version_to_come_names_the_versions(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "cells.h5mu", tmp_path / "a.h5mu")
    from_the_future(tmp_path / "a.h5mu")
    with pytest.raises(
        ValueError, match=r"'csr_matrix' in version 9.9.9, which anndata .* and mudata .*mudata 99.0"
    ) as error:
        scmoe.datasets.read(tmp_path / "a.h5mu")
    assert "damaged" not in str(error.value)


def test_error_of_a_library_is_not_called_a_damaged_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def renamed(path: Path) -> None:
        raise AttributeError("module 'mudata' has no attribute 'set_options'")

    monkeypatch.setattr("mudata.read_h5mu", renamed)
    with pytest.raises(ValueError, match="do not fit each other or scmoe") as error:
        scmoe.datasets.read(folder / "cells.h5mu")
    assert "damaged" not in str(error.value)
