import json

import numpy as np
import zarr

import scmoe


def test_the_configuration_names_what_is_in_the_store(result, tmp_path):
    assert scmoe.datasets.export(result, tmp_path / "out", to="vitessce") == []
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    (file,) = config["datasets"][0]["files"]
    assert file["fileType"] == "anndata.zarr"
    store, options = tmp_path / "out" / file["url"], file["options"]
    assert (store / ".zgroup").is_file() and not list(store.rglob("zarr.json"))  # format 2
    group = zarr.open_group(str(store), mode="r")
    named = [options["obsFeatureMatrix"]["path"], options["obsFeatureMatrix"]["initialFeatureFilterPath"]]
    named += [entry["path"] for name in ("obsSets", "obsEmbedding", "obsFeatureColumns") for entry in options[name]]
    assert all(path in group for path in named)
    np.testing.assert_allclose(group["X"][:], result["rna"].X.toarray(), rtol=1e-6)
    kinds = {entry.attrs.get("encoding-type") for _, entry in group.members(max_depth=None)}
    assert "nullable-string-array" not in kinds  # which Vitessce does not know
    assert group["X"].chunks[0] == result["rna"].n_obs
    np.testing.assert_array_equal(group["obsm/X_umap"][:], result["rna"].obsm["X_umap"])
    sets = {entry["path"] for entry in options["obsSets"]}
    assert {"obs/scmoe_cluster", "obs/scmoe_label", "obs/strange"} <= sets
    assert all(group[path].attrs["encoding-type"] == "categorical" for path in sets)
    assert group["var/shown"][:].sum() == 50
    places = [(view["x"], view["y"], view["w"], view["h"]) for view in config["layout"]]
    covered = [(x + i, y + j) for x, y, w, h in places for i in range(w) for j in range(h)]
    assert len(covered) == len(set(covered)) == 12 * 12
    assert {view["component"] for view in config["layout"]} == {"scatterplot", "obsSets", "featureList", "heatmap"}


def test_coordinates_are_named(result, tmp_path):
    mdata = result.copy()
    mdata["rna"].obsm["spatial"] = np.zeros((mdata["rna"].n_obs, 2))
    scmoe.datasets.export(mdata, tmp_path / "out", to="vitessce")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["datasets"][0]["files"][0]["options"]["obsLocations"] == {"path": "obsm/spatial"}


def test_data_without_a_map_are_written_and_it_is_said(result, tmp_path):
    mdata = result.copy()
    for data in (mdata, *mdata.mod.values()):
        del data.obsm["X_umap"], data.obsm["scmoe_umap"]
    (sentence,) = scmoe.datasets.export(mdata, tmp_path / "out", to="vitessce")
    assert "run scmoe.tl.umap" in sentence
