"""Stores of SpatialData in exactly its layout, written without the package, and by it where it is installed."""

from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import zarr
from anndata.io import write_elem
from typer.testing import CliRunner

import scmoe
from scmoe.cli import app

N = 24
OLD = zarr.__version__.startswith("2")


def table(n_features: int, prefix: str = "gene", *, n_cells: int = N, spatial: bool = True) -> ad.AnnData:
    rng = np.random.default_rng(n_features)
    obs = pd.DataFrame(
        {"region": pd.Categorical(["cells"] * n_cells), "instance": np.arange(n_cells)},
        index=[f"c{i}" for i in range(n_cells)],
    )
    var = pd.DataFrame(index=[f"{prefix}{i}" for i in range(n_features)])
    adata = ad.AnnData(rng.poisson(3, (n_cells, n_features)).astype(np.float32), obs=obs, var=var)
    if spatial:
        adata.obsm["spatial"] = rng.random((n_cells, 2))
    adata.uns["spatialdata_attrs"] = {"region": "cells", "region_key": "region", "instance_key": "instance"}
    return adata


def write_store(path, tables: dict[str, ad.AnnData], form: int = 3):
    """As spatialdata 0.8 writes it (zarr's format 3), and as it did before (2)."""
    if form == 3 and OLD:
        pytest.skip("this zarr has no format 3")
    root = zarr.open_group(str(path), mode="w", **({} if OLD else {"zarr_format": form}))
    root.attrs["spatialdata_attrs"] = {"version": "0.2", "spatialdata_software_version": "0.8.0"}
    for part in ("images", "labels", "points", "shapes"):
        root.create_group(part)
    group = root.create_group("tables")
    for name, adata in tables.items():
        write_elem(group, name, adata)
        group[name].attrs.update(
            {
                "spatialdata-encoding-type": "ngff:regions_table",
                "region": "cells",
                "region_key": "region",
                "instance_key": "instance",
                "version": "0.2",
            }
        )
    return path


@pytest.mark.parametrize("form", [2, 3])
def test_the_only_table_is_read_with_its_coordinates_and_keys(tmp_path, form):
    own = table(8)
    mdata = scmoe.datasets.read(write_store(tmp_path / "x.zarr", {"table": own}, form))
    (name,) = mdata.mod
    assert name == "rna" and list(mdata.obs_names) == list(own.obs_names)
    np.testing.assert_array_equal(mdata["rna"].X, own.X)
    np.testing.assert_array_equal(mdata["rna"].obsm["spatial"], own.obsm["spatial"])
    assert list(mdata.obs["region"]) == list(own.obs["region"])
    np.testing.assert_array_equal(mdata.obs["instance"], own.obs["instance"])
    assert mdata["rna"].uns["spatialdata_attrs"]["region_key"] == "region"
    scmoe.datasets.write(mdata, tmp_path / "x.h5mu")  # keys and all can be written


def test_tables_of_the_same_cells_are_modalities(tmp_path):
    tables = {"rna": table(8), "adt": table(5, "protein")[::-1].copy()}
    mdata = scmoe.datasets.read(write_store(tmp_path / "x.zarr", tables))
    assert set(mdata.mod) == {"rna", "adt"} and mdata.n_obs == N
    for name, own in tables.items():
        np.testing.assert_array_equal(mdata[name][own.obs_names].X, own.X)
    np.testing.assert_array_equal(mdata.obs["instance"].loc[tables["rna"].obs_names], np.arange(N))


def test_of_tables_of_different_cells_one_is_asked_for(tmp_path):
    path = write_store(tmp_path / "x.zarr", {"bins8": table(8), "bins16": table(8, n_cells=6)})
    with pytest.raises(ValueError, match=r"different cells: bins16 \(6 x 8\), bins8 \(24 x 8\).*tables/bins16"):
        scmoe.datasets.read(path)
    assert scmoe.datasets.read(path, table="bins16").n_obs == 6
    assert scmoe.datasets.read(path / "tables" / "bins8").n_obs == N
    with pytest.raises(KeyError, match="has no table 'bins2'; it has bins16, bins8"):
        scmoe.datasets.read(path, table="bins2")


def test_a_table_can_stay_on_disk(tmp_path):
    own = table(8)
    path = write_store(tmp_path / "x.zarr", {"a": own, "b": table(3)})
    for source, arguments in ((path, {"table": "a"}), (path / "tables" / "a", {})):
        mdata = scmoe.datasets.read(source, on_disk=True, cache_dir=tmp_path, **arguments)
        np.testing.assert_array_equal(mdata["rna"].X, own.X)
    with pytest.raises(ValueError, match="one table can stay on disk; it has a, b"):
        scmoe.datasets.read(path, on_disk=True, cache_dir=tmp_path)


def test_stores_without_tables_and_files_with_none_are_refused(tmp_path):
    with pytest.raises(ValueError, match="has no table: expected counts of cells"):
        scmoe.datasets.read(write_store(tmp_path / "x.zarr", {}))
    scmoe.datasets.write(table(3), tmp_path / "x.h5ad")
    with pytest.raises(ValueError, match="has no tables: leave table='a' out"):
        scmoe.datasets.read(tmp_path / "x.h5ad", table="a")


def test_objects_in_memory_are_taken(tmp_path):
    own = table(8)
    mdata = scmoe.datasets.from_spatialdata(SimpleNamespace(tables={"table": own}))
    assert mdata["rna"].X is own.X and "spatial" in mdata["rna"].obsm
    with pytest.raises(TypeError, match="Expected a SpatialData, found DataFrame"):
        scmoe.datasets.from_spatialdata(own.obs)
    with pytest.raises(KeyError, match="has no table 'x'; it has table"):
        scmoe.datasets.from_spatialdata(SimpleNamespace(tables={"table": own}), table="x")


def test_without_the_package_it_is_said_that_there_are_no_coordinates(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("scmoe.datasets._spatialdata.find_spec", lambda name: None)
    mdata = scmoe.datasets.read(write_store(tmp_path / "x.zarr", {"table": table(8, spatial=False)}))
    assert "spatial" not in mdata["rna"].obsm and "pip install 'scmoe[spatial]'" in caplog.text


def test_commands_take_a_store(tmp_path):
    path = write_store(tmp_path / "x.zarr", {"a": table(8), "b": table(3)})
    out = tmp_path / "m.csv"
    result = CliRunner().invoke(app, ["markers", str(path / "tables" / "a"), "--groupby", "region", "-o", str(out)])
    assert result.exit_code == 1 and "at least two groups" in result.output.replace("\n", " ")


def test_centers_of_shapes_are_the_coordinates_of_the_real_thing(tmp_path):
    spatialdata = pytest.importorskip("spatialdata")
    models = pytest.importorskip("spatialdata.models")
    places = np.random.default_rng(0).random((N, 2)) * 100
    order = np.random.default_rng(1).permutation(N)
    shapes = models.ShapesModel.parse(places, geometry=0, radius=1.0, index=order)
    own = table(8, spatial=False)
    del own.uns["spatialdata_attrs"]
    own = models.TableModel.parse(own, region="cells", region_key="region", instance_key="instance")
    sdata = spatialdata.SpatialData(shapes={"cells": shapes}, tables={"table": own})
    expected = pd.DataFrame(places, index=order).loc[np.arange(N)].to_numpy()
    mdata = scmoe.datasets.from_spatialdata(sdata)
    np.testing.assert_allclose(mdata["rna"].obsm["spatial"], expected)
    assert "spatial" not in sdata.tables["table"].obsm  # the user's
    sdata.write(tmp_path / "x.zarr")
    np.testing.assert_allclose(scmoe.datasets.read(tmp_path / "x.zarr")["rna"].obsm["spatial"], expected)
