"""Reading: every format becomes the same MuData; what cannot be read is named."""

import gzip
import warnings
from pathlib import Path

import anndata as ad
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
import zarr
from scipy import io, sparse

from scmoe._log import logger
from scmoe.datasets import read
from scmoe.io._quiet import quiet_mudata

COUNTS = np.array([[1, 0, 2, 3, 0], [0, 5, 0, 1, 1]], dtype=np.int32)
TYPES = ["Gene Expression"] * 3 + ["Antibody Capture", "CRISPR Guide Capture"]
NAMES = ["CD4", "GENE", "GENE", "CD4", "guide"]


def write_10x(path: Path, types: list[str] = TYPES, names: list[str] = NAMES) -> Path:
    """Write `COUNTS` (cells x features) as Cell Ranger 3 does: compressed by cell."""
    matrix = sparse.csr_matrix(COUNTS)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(matrix, name)
        group["shape"] = np.array(COUNTS.shape[::-1])
        group["barcodes"] = np.array(["AAAC-1", "AAAG-1"], dtype="S")
        features = group.create_group("features")
        for key, values in (("id", [f"id{i}" for i in range(5)]), ("name", names), ("feature_type", types)):
            features[key] = np.array(values, dtype="S")
        features["genome"] = np.array(["GRCh38"] * 5, dtype="S")
    return path


def annotated() -> ad.AnnData:
    return ad.AnnData(
        COUNTS.astype(np.float32), obs=pd.DataFrame(index=["a", "b"]), var=pd.DataFrame(index=list("vwxyz"))
    )


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="The .future.infer_string. option")  # in anndata 0.13
        yield


@pytest.mark.parametrize("suffix", [".h5mu", ".zarr"])
def test_mudata_comes_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    with quiet_mudata():
        mdata = mudata.MuData({"rna": annotated(), "other": annotated()})
        (mdata.write_h5mu if suffix == ".h5mu" else mdata.write_zarr)(path)
    again = read(str(path))
    assert list(again.mod) == ["rna", "other"]
    np.testing.assert_array_equal(again["other"].X, COUNTS)


@pytest.mark.parametrize("types", [None, ["GEX", "GEX", "GEX", "ADT", "ADT"]])
def test_columns_of_obs_in_h5ad_come_along(tmp_path: Path, types: list[str] | None) -> None:
    adata = annotated()
    adata.obs["batch"] = ["one", "two"]
    if types:
        adata.var["feature_types"] = types
    adata.write_h5ad(tmp_path / "a.h5ad")
    mdata = read(tmp_path / "a.h5ad")
    assert mdata.obs["batch"].to_dict() == {"a": "one", "b": "two"}


@pytest.mark.parametrize("name", ["rna", "protein"])
def test_h5ad_becomes_one_modality(tmp_path: Path, name: str) -> None:
    annotated().write_h5ad(tmp_path / "a.h5ad")
    assert list(read(tmp_path / "a.h5ad", modality=name).mod) == [name]


def test_h5ad_with_feature_types_is_split(tmp_path: Path) -> None:
    adata = annotated()
    adata.var["feature_types"] = ["GEX", "GEX", "GEX", "ADT", "ADT"]
    adata.write_h5ad(tmp_path / "a.h5ad")
    mdata = read(tmp_path / "a.h5ad")
    assert {name: mod.n_vars for name, mod in mdata.mod.items()} == {"rna": 3, "adt": 2}


def test_10x_file_is_split_by_feature_type(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch) -> None:
    monkeypatch.setattr(logger, "propagate", True)
    mdata = read(write_10x(tmp_path / "a.h5"))
    assert {name: mod.n_vars for name, mod in mdata.mod.items()} == {"rna": 3, "adt": 1, "guides": 1}
    assert list(mdata["rna"].var_names) == ["CD4", "GENE", "GENE-1"]
    assert list(mdata["adt"].var_names) == ["CD4"]
    np.testing.assert_array_equal(mdata["rna"].X.toarray(), COUNTS[:, :3])
    assert "rna: 1 feature names occurred more than once" in caplog.text


def test_multiome_file_gives_atac(tmp_path: Path) -> None:
    types = ["Gene Expression"] * 2 + ["Peaks"] * 3
    mdata = read(write_10x(tmp_path / "a.h5", types, ["A", "B", "chr1:1-9", "chr1:20-30", "chr2:1-9"]))
    assert list(mdata.mod) == ["rna", "atac"]


def cut_short(path: Path) -> None:
    with quiet_mudata():
        mudata.MuData({"rna": annotated()}).write_h5mu(path)
    path.write_bytes(path.read_bytes()[:3000])


def other_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = 1


def loom(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["matrix"] = COUNTS.T
        file.create_group("row_attrs")
        file.create_group("col_attrs")


def two_formats(path: Path) -> None:
    """What h5py makes of a 10x file that an AnnData was appended to."""
    annotated().write_h5ad(path)
    with h5py.File(write_10x(path.with_name("10x.h5"))) as source, h5py.File(path, "a") as file:
        source.copy("matrix", file)


def cell_ranger(path: Path) -> None:
    path.mkdir()
    write_10x(path / "filtered_feature_bc_matrix.h5")
    write_10x(path / "raw_feature_bc_matrix.h5")


def spatialdata(path: Path) -> None:
    store = zarr.open_group(path, mode="w")
    store.create_group("images")
    store.create_group("tables").create_group("cells")


@pytest.mark.parametrize(
    ("name", "make", "error", "match"),
    [
        ("gone.h5mu", lambda p: None, FileNotFoundError, "There is no file .*gone.h5mu"),
        ("a.csv", lambda p: p.write_text("x"), ValueError, "expected one of .h5mu, .h5ad, .h5, .zarr, .* found '.csv'"),
        ("a.h5mu", lambda p: p.write_text("x"), ValueError, "Cannot read .*a.h5mu.*may be damaged"),
        ("a.h5mu", cut_short, ValueError, "Cannot read .*a.h5mu.*may be damaged"),
        ("a.h5mu", other_hdf5, ValueError, "found a file with the entries x"),
        ("a.h5mu", lambda p: p.mkdir(), ValueError, "it is a folder. Name a file"),
        ("a.loom", loom, ValueError, "read_loom"),
        ("both.h5", two_formats, ValueError, "found an AnnData .* and counts of 10x Genomics .* in one file"),
        ("outs", cell_ranger, ValueError, "Name what is in it: .*outs/filtered_feature_bc_matrix.h5"),
        ("folder", lambda p: p.mkdir(), ValueError, "it is a folder"),
        ("a.h5ad", other_hdf5, ValueError, "Cannot read"),
        ("a.h5", other_hdf5, ValueError, "Cannot read"),
        ("a.zarr", lambda p: p.mkdir(), ValueError, "Cannot read"),
        (
            "a.zarr",
            lambda p: zarr.open_group(p, mode="w").create_group("x"),
            ValueError,
            "found one with the entries x",
        ),
        ("s.zarr", spatialdata, ValueError, "Cannot read .*s.zarr.*may be damaged"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, make, error, match: str) -> None:
    make(tmp_path / name)
    with pytest.raises(error, match=match):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("error", "match"),
    [
        (PermissionError(13, "Permission denied"), "ask its owner"),
        (BlockingIOError(11, "unable to lock file"), "another program has it open"),
        (OSError("Can't synchronously read data (can't open directory (/usr/lib/plugin))"), "hdf5plugin"),
    ],
)
def test_a_whole_file_is_not_called_damaged(tmp_path: Path, monkeypatch, error: Exception, match: str) -> None:
    def refuse(path: Path) -> None:
        raise error

    with quiet_mudata():
        mudata.MuData({"rna": annotated()}).write_h5mu(tmp_path / "a.h5mu")
    monkeypatch.setattr(mudata, "read_h5mu", refuse)
    with pytest.raises(ValueError, match=f"The file may be fine; .*{match}"):
        read(tmp_path / "a.h5mu")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logger, "propagate", True)
    return caplog


WRITERS = {
    "h5ad": lambda path: annotated().write_h5ad(path),
    "zarr of an AnnData": lambda path: annotated().write_zarr(path),
    "h5mu": lambda path: mudata.MuData({"rna": annotated()}).write_h5mu(path),
    "zarr of a MuData": lambda path: mudata.MuData({"rna": annotated()}).write_zarr(path),
    "10x": lambda path: write_10x(path, ["Gene Expression"] * 5, list("vwxyz")),
}


@pytest.mark.parametrize("suffix", [".h5ad", ".h5mu", ".h5", ".zarr", ".data", ""])
@pytest.mark.parametrize("content", WRITERS)
def test_what_is_in_a_file_counts_not_its_name(tmp_path: Path, content: str, suffix: str, log) -> None:
    path = tmp_path / f"a{suffix}"
    with quiet_mudata(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        WRITERS[content](tmp_path / f"first.{content.split()[0]}")
    (tmp_path / f"first.{content.split()[0]}").rename(path)
    mdata = read(path)
    assert isinstance(mdata, mudata.MuData) and list(mdata.mod) == ["rna"]
    matrix = mdata["rna"].X
    np.testing.assert_array_equal(matrix.toarray() if sparse.issparse(matrix) else matrix, COUNTS)
    is_right = content.split()[0] == suffix[1:] or (content, suffix) == ("10x", ".h5")
    assert ("whatever its name says" in log.text) is not is_right


def write_legacy_10x(path: Path, genomes: list[str]) -> Path:
    """As Cell Ranger 2 does: a group for each genome, with cells of its own; symbols repeat."""
    matrix = sparse.csr_matrix(COUNTS)
    with h5py.File(path, "w") as file:
        for i, genome in enumerate(genomes):
            group = file.create_group(genome)
            group["data"] = matrix.data * (i + 1)
            for name in ("indices", "indptr"):
                group[name] = getattr(matrix, name)
            group["shape"] = np.array(COUNTS.shape[::-1])
            group["barcodes"] = np.array(["AAAC-1", "AAAG-1"], dtype="S")
            group["genes"] = np.array([f"ENSG{j}" for j in range(5)], dtype="S")
            group["gene_names"] = np.array(NAMES, dtype="S")
    return path


def test_file_of_cell_ranger_2_with_repeated_symbols(tmp_path: Path) -> None:
    mdata = read(write_legacy_10x(tmp_path / "a.h5", ["hg19"]))
    assert list(mdata["rna"].var_names) == ["CD4", "GENE", "GENE-1", "CD4-1", "guide"]
    np.testing.assert_array_equal(mdata["rna"].X.toarray(), COUNTS)


def test_one_of_several_genomes_is_read(tmp_path: Path) -> None:
    path = write_legacy_10x(tmp_path / "a.h5", ["hg19", "mm10"])
    with pytest.raises(ValueError, match="holds 2 genomes, .*: hg19, mm10. Say which to read: genome='hg19'"):
        read(path)
    with pytest.raises(ValueError, match="has no genome 'rn6'; it has hg19, mm10"):
        read(path, genome="rn6")
    np.testing.assert_array_equal(read(path, genome="mm10")["rna"].X.toarray(), 2 * COUNTS)


def test_genome_of_a_file_of_cell_ranger_3_keeps_antibodies(tmp_path: Path) -> None:
    path = write_10x(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file["matrix/features/genome"][...] = np.array(["hg38", "mm10", "mm10", "", ""], dtype="S6")
    mdata = read(path, genome="mm10")
    assert {name: mod.n_vars for name, mod in mdata.mod.items()} == {"rna": 2, "adt": 1, "guides": 1}
    np.testing.assert_array_equal(mdata["rna"].X.toarray(), COUNTS[:, 1:3])
    with pytest.raises(ValueError, match="has no genome 'hg19'; it has hg38, mm10"):
        read(path, genome="hg19")
    annotated().write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(ValueError, match="has no genomes apart: leave genome='mm10' out"):
        read(tmp_path / "a.h5ad", genome="mm10")


def test_file_of_cellbender_is_read(tmp_path: Path) -> None:
    path = write_10x(tmp_path / "a_filtered.h5")
    with h5py.File(path, "a") as file:
        file["droplet_latents/cell_probability"] = np.ones(2)
        file["global_latents/ambient_expression"] = np.ones(5)
        file["metadata/learning_curve_train_epoch"] = np.arange(3)
    np.testing.assert_array_equal(read(path)["rna"].X.toarray(), COUNTS[:, :3])


@pytest.mark.parametrize("is_compressed", [True, False])
@pytest.mark.parametrize("prefix", ["", "GSM1_"])
@pytest.mark.parametrize("features", ["features", "genes"])
def test_folder_of_cell_ranger(tmp_path: Path, features: str, prefix: str, is_compressed: bool) -> None:
    suffix = ".gz" if is_compressed else ""
    io.mmwrite(tmp_path / "matrix.mtx", sparse.coo_matrix(COUNTS.T))
    text = (tmp_path / "matrix.mtx").read_bytes()
    (tmp_path / "matrix.mtx").unlink()
    (tmp_path / f"{prefix}matrix.mtx{suffix}").write_bytes(gzip.compress(text) if is_compressed else text)
    table = pd.DataFrame([[f"ENSG{i}" for i in range(5)], NAMES, TYPES]).T
    table = table if features == "features" else table[[0, 1]]
    table.to_csv(tmp_path / f"{prefix}{features}.tsv{suffix}", sep="\t", header=False, index=False)
    cells = pd.Series(["NA-1", "AAAG-1"])
    cells.to_csv(tmp_path / f"{prefix}barcodes.tsv{suffix}", header=False, index=False)
    mdata = read(tmp_path)
    assert list(mdata.obs_names) == ["NA-1", "AAAG-1"]
    if features == "features":
        assert {name: mod.n_vars for name, mod in mdata.mod.items()} == {"rna": 3, "adt": 1, "guides": 1}
    assert list(mdata["rna"].var_names)[:3] == ["CD4", "GENE", "GENE-1"]
    np.testing.assert_array_equal(mdata["rna"].X.toarray(), COUNTS[:, : mdata["rna"].n_vars])
    assert list(mdata["rna"].var["gene_ids"])[:2] == ["ENSG0", "ENSG1"]
    (tmp_path / f"{prefix}barcodes.tsv{suffix}").unlink()
    with pytest.raises(ValueError, match=f"lacks {prefix}barcodes.tsv"):
        read(tmp_path)


def test_folder_whose_files_do_not_fit_is_refused(tmp_path: Path) -> None:
    io.mmwrite(tmp_path / "matrix.mtx", sparse.coo_matrix(COUNTS.T))
    (tmp_path / "genes.tsv").write_text("ENSG0\tA\n")
    (tmp_path / "barcodes.tsv").write_text("a\nb\n")
    with pytest.raises(ValueError, match="5 features x 2 cells, beside 1 features and 2 cells by name"):
        read(tmp_path)
    io.mmwrite(tmp_path / "GSM2_matrix.mtx", sparse.coo_matrix(COUNTS.T))
    with pytest.raises(ValueError, match="holds 2 matrices: GSM2_matrix.mtx, matrix.mtx"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("GENE EXPRESSION", "rna"),
        ("Peaks", "atac"),
        ("Multiplexing Capture", "hto"),
        ("CRISPR Guide Capture", "guides"),
        ("Custom", "custom"),
        ("Antigen Capture", "antigen_capture"),
    ],
)
def test_modalities_are_called_by_their_type(tmp_path: Path, kind: str, name: str) -> None:
    assert list(read(write_10x(tmp_path / "a.h5", [kind] * 5, list("vwxyz"))).mod) == [name]


def test_types_of_one_name_are_not_merged(tmp_path: Path) -> None:
    adata = annotated()
    adata.var["feature_types"] = ["Gene Expression", "Lipid/A", "Lipid_A", "Lipid A", "GEX"]
    adata.write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(ValueError, match="the types 'lipid/a' and 'lipid_a' and 'lipid a', .* the modality 'lipid_a'"):
        read(tmp_path / "a.h5ad")


def test_features_without_a_type_are_named(tmp_path: Path) -> None:
    adata = annotated()
    adata.var["feature_types"] = pd.Categorical(["Gene Expression", "Gene Expression", None, None, "Antibody Capture"])
    adata.write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(ValueError, match=r"2 of 5 have no type: 'x', 'y'\. .*fillna"):
        read(tmp_path / "a.h5ad")
    adata.var["feature_types"] = np.nan
    adata.write_h5ad(tmp_path / "a.h5ad")
    assert list(read(tmp_path / "a.h5ad").mod) == ["rna"]


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_counts_in_raw_of_cellxgene_are_kept(tmp_path: Path, suffix: str) -> None:
    """X is normalized, counts are in raw, and names are Ensembl's."""
    adata = annotated()
    adata.obs["cell_type"] = pd.Categorical(["T cell", "B cell"])
    adata.obs["donor_id"], adata.obs["assay"] = pd.Categorical(["d1", "d2"]), pd.Categorical(["10x 3' v3"] * 2)
    adata.var_names = [f"ENSG0000000000{i}" for i in range(5)]
    adata.var["feature_name"] = pd.Categorical(["CD4", "CD8A", "CD8A", "MS4A1", "NKG7"])
    adata.var["feature_is_filtered"] = [False] * 4 + [True]
    adata.var["feature_biotype"] = pd.Categorical(["gene"] * 5)
    adata.raw = adata.copy()
    adata.X = np.log1p(adata.X)
    write = adata.write_h5ad if suffix == ".h5ad" else adata.write_zarr
    with quiet_mudata():
        write(tmp_path / f"a{suffix}")
    mdata = read(tmp_path / f"a{suffix}")
    rna = mdata["rna"]
    np.testing.assert_array_equal(rna.raw.X, COUNTS)
    np.testing.assert_array_equal(rna.X, np.log1p(COUNTS.astype(np.float32)))
    assert rna.var["feature_name"].tolist() == ["CD4", "CD8A", "CD8A", "MS4A1", "NKG7"]
    assert rna.raw.var["feature_is_filtered"].tolist() == [False] * 4 + [True]
    assert mdata.obs["cell_type"].tolist() == ["T cell", "B cell"] and mdata.obs["donor_id"].tolist() == ["d1", "d2"]


@pytest.mark.parametrize("has_types", [True, False])
def test_raw_is_split_as_the_features_are(tmp_path: Path, has_types: bool) -> None:
    """Raw has a feature that X lacks: w, which is a gene by its type, or by what most others are."""
    adata = annotated()
    adata.var["feature_types"] = ["GEX", "GEX", "ADT", "GEX", "GEX"]
    adata.raw = adata.copy() if has_types else ad.AnnData(adata.X, obs=adata.obs, var=adata.var[[]])
    adata[:, list("vxyz")].copy().write_h5ad(tmp_path / "a.h5ad")
    mdata = read(tmp_path / "a.h5ad")
    assert list(mdata["rna"].var_names) == list("vyz") and list(mdata["adt"].var_names) == ["x"]
    assert list(mdata["rna"].raw.var_names) == list("vwyz") and list(mdata["adt"].raw.var_names) == ["x"]
    np.testing.assert_array_equal(mdata["rna"].raw.X, COUNTS[:, [0, 1, 3, 4]])
    np.testing.assert_array_equal(mdata["adt"].raw.X, COUNTS[:, [2]])


@pytest.mark.parametrize("suffix", [".h5ad", ".h5mu", ".zarr"])
def test_repeated_features_get_a_suffix_in_every_format(tmp_path: Path, suffix: str, log) -> None:
    rna, adt = annotated(), annotated()
    rna.var_names = ["CD4", "G", "G", "H", "G"]
    adt.var_names = ["CD4", "w", "x", "y", "z"]
    path = tmp_path / f"a{suffix}"
    with quiet_mudata(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rna.raw = rna.copy()
        mdata = mudata.MuData({"rna": rna, "adt": adt})
        mdata.var["position"] = np.arange(10)
        write = {".h5ad": rna.write_h5ad, ".h5mu": mdata.write_h5mu, ".zarr": mdata.write_zarr}[suffix]
        write(path)
    mdata = read(path)
    unique = ["CD4", "G", "G-1", "H", "G-2"]
    assert list(mdata["rna"].var_names) == list(mdata["rna"].raw.var_names) == unique
    np.testing.assert_array_equal(mdata["rna"].X, COUNTS)
    assert list(mdata.var_names) == (unique if suffix == ".h5ad" else [*unique, *adt.var_names])
    if suffix != ".h5ad":
        assert mdata.var["position"].tolist() == list(range(10))
    assert "rna: 2 feature names occurred more than once" in log.text
