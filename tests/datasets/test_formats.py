"""Files in the layout of each tool, made here from what the tool writes: `docs/formats.md` names them."""

import gzip
import sys
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import io, sparse

from scmoe._keys import SPLICING
from scmoe._log import logger
from scmoe.datasets import from_anndata, read, write
from scmoe.io._quiet import quiet_mudata
from scmoe.pp._prepare import prepare

CELLS = ["AAACCCA-1", "AAACCCC-1", "AAACCCG-1"]
GENES = ["ENSG01", "ENSG02", "ENSG03", "ENSG04"]
SYMBOLS = ["A", "B", "B", "C"]
COUNTS = np.random.default_rng(0).poisson(2.0, (len(CELLS), len(GENES))).astype(np.float32)
PARTS = [COUNTS, COUNTS + 1, 2 * COUNTS]
"""Spliced, unspliced and ambiguous."""


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logger, "propagate", True)
    return caplog


def lines(path: Path, rows: list[str]) -> None:
    text = "".join(f"{row}\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def matrix(path: Path, values: np.ndarray) -> None:
    """A Matrix Market file of sparse values, compressed if its name says so."""
    plain = path.with_name(path.name.removesuffix(".gz"))
    io.mmwrite(plain, sparse.coo_matrix(values))
    if plain != path:
        path.write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()


def dense(values: object) -> np.ndarray:
    return values.toarray() if sparse.issparse(values) else np.asarray(values)


def cell_ranger(folder: Path, features: list[str], suffix: str = ".gz", name: str = "features.tsv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    matrix(folder / f"matrix.mtx{suffix}", COUNTS.T)
    lines(folder / f"{name}{suffix}", features)
    lines(folder / f"barcodes.tsv{suffix}", CELLS)
    return folder


TYPES = ["Gene Expression", "Gene Expression", "Antibody Capture", "CRISPR Guide Capture"]
MEX = {
    "Cell Ranger 2": (["ENSG01\tA", "ENSG02\tB", "ENSG03\tB", "ENSG04\tC"], "", "genes.tsv", {"rna": 4}),
    "Cell Ranger 3 to 10": (
        [f"{gene}\t{symbol}\t{kind}" for gene, symbol, kind in zip(GENES, SYMBOLS, TYPES, strict=True)],
        ".gz",
        "features.tsv",
        {"rna": 2, "adt": 1, "guides": 1},
    ),
    "multi with hashtags and antigens": (
        ["ENSG01\tA\tGene Expression", "ENSG02\tB\tGene Expression", "CMO301\tCMO301\tMultiplexing Capture"]
        + ["BEAM01\tGlioma\tAntigen Capture"],
        ".gz",
        "features.tsv",
        {"rna": 2, "hto": 1, "antigen_capture": 1},
    ),
    "ARC 2, six columns": (
        ["ENSG01\tA\tGene Expression\tchr1\t10\t20", "ENSG02\tB\tGene Expression\t\t\t"]
        + ["chr1:1-9\tchr1:1-9\tPeaks\tchr1\t1\t9", "chr1:20-30\tchr1:20-30\tPeaks\tchr1\t20\t30"],
        ".gz",
        "features.tsv",
        {"rna": 2, "atac": 2},
    ),
    "ATAC, peaks.bed": (["chr1\t1\t9", "chr1\t20\t30", "chr2\t1\t9", "GL000.1\t1\t9"], "", "peaks.bed", {"atac": 4}),
    "STARsolo Gene": (
        [f"{gene}\t{symbol}\tGene Expression" for gene, symbol in zip(GENES, SYMBOLS, strict=True)],
        "",
        "features.tsv",
        {"rna": 4},
    ),
}


@pytest.mark.parametrize("layout", MEX)
def test_folders_in_the_exchange_format_of_10x(tmp_path: Path, layout: str) -> None:
    features, suffix, name, sizes = MEX[layout]
    mdata = read(cell_ranger(tmp_path / "counts", features, suffix, name))
    assert {name: adata.n_vars for name, adata in mdata.mod.items()} == sizes
    assert list(mdata.obs_names) == CELLS
    np.testing.assert_array_equal(np.hstack([dense(mdata[name].X) for name in mdata.mod]), COUNTS)
    if "peaks" in layout:
        assert list(mdata["atac"].var_names) == ["chr1:1-9", "chr1:20-30", "chr2:1-9", "GL000.1:1-9"]


@pytest.mark.parametrize("version", ["3", "7 Flex", "10 with guides and antigens"])
def test_h5_of_cell_ranger(tmp_path: Path, version: str) -> None:
    """With the tags of features that are no genes, and the probe sets of Flex, in ``matrix/features``."""
    types = ["Gene Expression"] * 4 if "Flex" in version else TYPES
    compressed = sparse.csr_matrix(COUNTS.astype(np.int32))
    with h5py.File(tmp_path / "filtered_feature_bc_matrix.h5", "w") as file:
        file.attrs["filetype"], file.attrs["version"] = "matrix", np.int64(2)
        group = file.create_group("matrix")
        group["data"], group["indptr"] = compressed.data, compressed.indptr.astype(np.int64)
        group["indices"], group["shape"] = compressed.indices.astype(np.int64), np.array(COUNTS.shape[::-1], np.int32)
        group["barcodes"] = np.array(CELLS, "S18")
        features = group.create_group("features")
        columns = {"id": GENES, "name": SYMBOLS, "feature_type": types, "genome": ["GRCh38", "GRCh38", "", ""]}
        if version != "3":
            columns |= {"pattern": ["", "", "5P(BC)", "(BC)"], "read": ["", "", "R2", "R2"]}
            columns |= {"sequence": ["", "", "ACGT", "TTTT"]}
        for key, values in columns.items():
            features[key] = np.array(values, "S")
        features["_all_tag_keys"] = np.array([key for key in columns if key in ("genome", "pattern", "read")], "S")
        if "Flex" in version:
            features.create_group("target_sets")["Human Transcriptome v1.0"] = np.array([0, 1, 2])
    mdata = read(tmp_path / "filtered_feature_bc_matrix.h5")
    assert list(mdata.mod) == (["rna"] if "Flex" in version else ["rna", "adt", "guides"])
    np.testing.assert_array_equal(np.hstack([dense(mdata[name].X) for name in mdata.mod]), COUNTS)
    assert list(mdata["rna"].var_names[:2]) == ["A", "B"]


@pytest.mark.parametrize(
    "inside",
    [
        "outs/filtered_feature_bc_matrix",
        "outs/per_sample_outs/S1/count/sample_filtered_feature_bc_matrix",
        "outs/per_sample_outs/S1/sample_filtered_feature_bc_matrix",
        "Solo.out/Gene/filtered",
        "af_quant/alevin",
        "counts_unfiltered",
    ],
)
def test_a_folder_above_names_what_is_to_be_read(tmp_path: Path, inside: str) -> None:
    """The counts of cells, though those of all droplets stand beside."""
    features = MEX["STARsolo Gene"][0]
    folder = cell_ranger(tmp_path / inside, features)
    if "filtered" in folder.name and "unfiltered" not in folder.name:
        cell_ranger(folder.with_name(folder.name.replace("filtered", "raw")), features)
    with pytest.raises(ValueError, match=f"it is a folder. Name what is in it: {folder}"):
        read(tmp_path / inside.split("/")[0] if "/" in inside else tmp_path)


def test_matrices_beside_the_one_of_starsolo_are_read_by_name(tmp_path: Path, log) -> None:
    cell_ranger(tmp_path, MEX["STARsolo Gene"][0], "")
    divided = COUNTS + 0.25
    matrix(tmp_path / "UniqueAndMult-EM.mtx", divided.T)
    np.testing.assert_array_equal(dense(read(tmp_path)["rna"].X), COUNTS)
    assert "not read: UniqueAndMult-EM.mtx. Name the file" in log.text
    mdata = read(tmp_path / "UniqueAndMult-EM.mtx")
    np.testing.assert_array_equal(dense(mdata["rna"].X), divided)
    assert list(mdata["rna"].var["gene_ids"]) == GENES


def test_one_of_several_samples_is_read_by_name(tmp_path: Path) -> None:
    for sample, values in (("GSM1_", COUNTS), ("GSM2_", 2 * COUNTS)):
        matrix(tmp_path / f"{sample}matrix.mtx.gz", values.T)
        lines(tmp_path / f"{sample}features.tsv.gz", GENES)
        lines(tmp_path / f"{sample}barcodes.tsv.gz", [f"{sample}{cell}" for cell in CELLS])
    with pytest.raises(ValueError, match="holds 2 matrices: .* one by one, beginning with .*GSM1_matrix.mtx.gz"):
        read(tmp_path)
    mdata = read(tmp_path / "GSM2_matrix.mtx.gz")
    np.testing.assert_array_equal(dense(mdata["rna"].X), 2 * COUNTS)
    assert list(mdata.obs_names) == [f"GSM2_{cell}" for cell in CELLS]


def test_cells_in_rows_are_seen_by_the_numbers_of_names(tmp_path: Path, log) -> None:
    """As `scipy.io.mmwrite("matrix.mtx", adata.X)` leaves them."""
    cell_ranger(tmp_path, MEX["STARsolo Gene"][0], "")
    matrix(tmp_path / "matrix.mtx", COUNTS)
    np.testing.assert_array_equal(dense(read(tmp_path)["rna"].X), COUNTS)
    assert "rows and columns are the other way round" in log.text


def starsolo_velocyto(folder: Path) -> None:
    cell_ranger(folder, MEX["STARsolo Gene"][0], "")
    (folder / "matrix.mtx").unlink()
    for part, values in zip(SPLICING, PARTS, strict=True):
        matrix(folder / f"{part}.mtx", values.T)


def alevin_fry(folder: Path) -> None:
    """Of quantification with unspliced, spliced and ambiguous molecules: three columns a gene."""
    matrix(folder / "quants_mat.mtx", np.hstack(PARTS))
    lines(folder / "quants_mat_rows.txt", CELLS)
    lines(folder / "quants_mat_cols.txt", [f"{gene}{end}" for end in ("", "-U", "-A") for gene in GENES])


def kallisto_nac(folder: Path) -> None:
    for part, values in zip(("mature", "nascent", "ambiguous"), PARTS, strict=True):
        matrix(folder / f"cells_x_genes.{part}.mtx", values)
    kallisto_names(folder)


def kallisto_names(folder: Path) -> None:
    lines(folder / "cells_x_genes.barcodes.txt", CELLS)
    lines(folder / "cells_x_genes.genes.txt", GENES)
    lines(folder / "cells_x_genes.genes.names.txt", ["A", "B", "", "C"])


@pytest.mark.parametrize("write_counts", [starsolo_velocyto, alevin_fry, kallisto_nac])
def test_spliced_unspliced_and_ambiguous_molecules_are_added_up(tmp_path: Path, write_counts, log) -> None:
    write_counts(tmp_path)
    rna = read(tmp_path)["rna"]
    np.testing.assert_array_equal(dense(rna.X), sum(PARTS))
    for part, values in zip(SPLICING, PARTS, strict=True):
        np.testing.assert_array_equal(dense(rna.layers[part]), values)
    assert list(rna.obs_names) == CELLS and list(rna.var["gene_ids"]) == GENES
    assert "are added up" in log.text


@pytest.mark.parametrize("tool", ["kallisto", "alevin-fry"])
def test_cells_by_genes_of_other_tools(tmp_path: Path, tool: str) -> None:
    if tool == "kallisto":
        matrix(tmp_path / "cells_x_genes.mtx", COUNTS)
        kallisto_names(tmp_path)
    else:
        matrix(tmp_path / "quants_mat.mtx.gz", COUNTS)
        lines(tmp_path / "quants_mat_rows.txt", CELLS)
        lines(tmp_path / "quants_mat_cols.txt", GENES)
    rna = read(tmp_path)["rna"]
    np.testing.assert_array_equal(dense(rna.X), COUNTS)
    assert list(rna.var["gene_ids"]) == GENES and list(rna.obs_names) == CELLS
    assert list(rna.var_names) == (["A", "B", "ENSG03", "C"] if tool == "kallisto" else GENES)


@pytest.mark.parametrize("name", ["counts.csv", "GSE1_counts.txt.gz", "a.tsv"])
def test_tables_of_text_are_refused_with_code_that_reads_them(tmp_path: Path, monkeypatch, name: str) -> None:
    """Which is run here: genes in rows, as GEO has them."""
    separator = "," if ".csv" in name else "\t"
    pd.DataFrame(COUNTS.T, index=GENES, columns=CELLS).to_csv(tmp_path / name, sep=separator)
    with pytest.raises(ValueError, match="A table does not say what its rows are") as refused:
        read(tmp_path / name)
    code = str(refused.value).split("GEO: ")[1].split(". If they")[0]
    monkeypatch.chdir(tmp_path)
    exec(code)
    rna = read(tmp_path / "cells.h5ad")["rna"]
    np.testing.assert_array_equal(dense(rna.X), COUNTS)
    assert list(rna.var_names) == GENES and list(rna.obs_names) == CELLS


@pytest.mark.parametrize("name", ["a.rds", "a.h5Seurat"])
def test_files_of_r_are_refused_with_the_package_that_converts_them(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(ValueError, match="It is a file of R. .*anndataR::write_h5ad"):
        read(tmp_path / name)


COUNTED = np.random.default_rng(1).poisson(2.0, (60, 30)).astype(np.float32)
LOGS = np.log1p(COUNTED / COUNTED.sum(1, keepdims=True) * 1e4)


def annotated(x: np.ndarray | sparse.spmatrix | None = None, **parts: object) -> ad.AnnData:
    cells = pd.DataFrame(index=[f"cell{i}" for i in range(60)])
    return ad.AnnData(x, obs=cells, var=pd.DataFrame(index=[f"gene{i}" for i in range(30)]), **parts)


def of_cellxgene() -> ad.AnnData:
    """Schema 5 to 7: identifiers, X normalized, counts in raw, and of each gene what it is."""
    adata = annotated(sparse.csr_matrix(LOGS))
    adata.var_names = [f"ENSG{i:011d}" for i in range(30)]
    adata.var["feature_name"] = pd.Categorical([f"SYM{i}" for i in range(30)])
    adata.var["feature_type"] = pd.Categorical(["protein_coding"] * 30)
    adata.var["feature_is_filtered"] = [False] * 30
    adata.obs["donor_id"] = pd.Categorical([f"d{i % 3}" for i in range(60)])
    adata.obs["is_primary_data"] = True
    adata.raw = ad.AnnData(sparse.csr_matrix(COUNTED), obs=adata.obs, var=adata.var[["feature_name"]])
    adata.uns["schema_version"], adata.uns["title"] = "7.1.0", "t"
    return adata


def of_simpleaf() -> ad.AnnData:
    """X of zeros, the counts in layers, and names in columns (af-anndata)."""
    part = np.floor(COUNTED / 3)
    parts = map(sparse.csr_matrix, (COUNTED - 2 * part, part, part))
    adata = annotated(sparse.csr_matrix((60, 30)), layers=dict(zip(SPLICING, parts, strict=True)))
    adata.obs["barcodes"] = adata.obs_names
    genes = list(adata.var_names)
    adata.obs_names, adata.var_names = list(map(str, range(60))), list(map(str, range(30)))
    adata.varm["spliced"] = pd.DataFrame({"gene_symbols": genes}, index=adata.var_names)
    return adata


def with_raw(adata: ad.AnnData) -> ad.AnnData:
    adata.raw = annotated(sparse.csr_matrix(COUNTED))
    return adata


EXPORTS = {
    "CELLxGENE": (of_cellxgene, "raw.X"),
    "anndataR of Seurat": (
        lambda: annotated(layers={"counts": sparse.csc_matrix(COUNTED), "data": sparse.csc_matrix(LOGS)}),
        "layers['counts']",
    ),
    "anndataR of SingleCellExperiment": (
        lambda: annotated(layers={"counts": sparse.csr_matrix(COUNTED), "logcounts": sparse.csr_matrix(LOGS)}),
        "layers['counts']",
    ),
    "zellkonverter": (
        lambda: annotated(sparse.csr_matrix(COUNTED), layers={"logcounts": sparse.csr_matrix(LOGS)}),
        "X",
    ),
    "zellkonverter, X_name logcounts": (
        lambda: annotated(sparse.csr_matrix(LOGS), layers={"counts": sparse.csr_matrix(COUNTED)}),
        "layers['counts']",
    ),
    "SeuratDisk without scaled data": (lambda: with_raw(annotated(sparse.csr_matrix(LOGS))), "raw.X"),
    "raw only": (lambda: with_raw(annotated()), "raw.X"),
    "simpleaf": (of_simpleaf, "layers 'spliced', 'unspliced', 'ambiguous'"),
    "kallisto h5ad": (lambda: annotated(sparse.csr_matrix(COUNTED.astype(np.float64))), "X"),
    "kallisto nac h5ad": (
        lambda: annotated(
            sparse.csr_matrix(COUNTED.astype(np.int64)),
            layers={name: sparse.csr_matrix(COUNTED) for name in ("mature", "nascent", "ambiguous")},
        ),
        "X",
    ),
    "TileDB-SOMA to AnnData": (lambda: annotated(sparse.csr_matrix(COUNTED), layers={}), "X"),
}


@pytest.mark.parametrize("tool", EXPORTS)
def test_counts_are_found_in_exports_to_h5ad(tmp_path: Path, tool: str) -> None:
    make, source = EXPORTS[tool]
    with quiet_mudata():
        make().write_h5ad(tmp_path / "a.h5ad")
    mdata = read(tmp_path / "a.h5ad")
    prepare(mdata)
    record = mdata.uns["scmoe"]["prepare"]["rna"]
    assert (record["kind"], record["source"]) == ("rna", source)
    assert mdata.obs_names[1] == mdata["rna"].obs_names[1] == "cell1"
    assert mdata["rna"].var_names[1] == ("ENSG00000000001" if tool == "CELLxGENE" else "gene1")
    np.testing.assert_array_equal(dense(mdata["rna"].layers["counts"]), COUNTED)
    np.testing.assert_allclose(dense(mdata["rna"].X), LOGS, rtol=1e-5)
    write(mdata, tmp_path / "b.h5mu")
    np.testing.assert_array_equal(dense(read(tmp_path / "b.h5mu")["rna"].layers["counts"]), COUNTED)


def test_layers_without_counts_are_named_where_x_is_absent() -> None:
    with pytest.raises(ValueError, match=r'X holds no values; .* layers \'logcounts\'. .*X = .*layers\["logcounts"\]'):
        prepare(from_anndata(annotated(layers={"logcounts": LOGS})))


def seurat_disk(path: Path, x: np.ndarray, raw: np.ndarray, *, is_reference: bool = False) -> Path:
    """As `Convert` of SeuratDisk writes: tables in version 0.1.0, and factors as codes without a reference."""

    def put(place: str, values: np.ndarray) -> None:
        if place == "X" and x.min() < 0:
            file[place] = values
            return
        group, rows = file.create_group(place), sparse.csr_matrix(values)
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(rows, name)
        group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": values.shape})

    def table(place: str, names: list[str], columns: dict[str, np.ndarray]) -> None:
        group = file.create_group(place)
        group["_index"] = np.array(names, dtype=object)
        for name, values in columns.items():
            group[name] = values
        group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.1.0", "_index": "_index"})
        group.attrs["column-order"] = np.array(list(columns), dtype=object)

    codes = np.arange(60, dtype=np.int32) % 2
    codes[5] = -1 if is_reference else np.iinfo(np.int32).min  # anndata's missing value, and R's
    genes = [f"gene{i}" for i in range(30)]
    with h5py.File(path, "w") as file:
        put("X", x)
        put("raw/X", raw)
        table("var", genes[: x.shape[1]], {"features": np.array(genes[: x.shape[1]], dtype=object)})
        table("raw/var", genes, {"features": np.array(genes, dtype=object)})
        table("obs", [f"cell{i}" for i in range(60)], {"type": codes, "nCount_RNA": raw.sum(1)})
        file["obs/__categories/type"] = np.array(["T", "B"], dtype=object)
        if is_reference:
            file["obs/type"].attrs["categories"] = file["obs/__categories/type"].ref
        for name in ("obsm", "varm", "uns"):
            file.create_group(name)
    return path


@pytest.mark.parametrize("is_reference", [False, True])
def test_factors_of_seurat_are_read_by_their_levels(tmp_path: Path, is_reference: bool, log) -> None:
    """A reference to the levels is what anndata wrote before 0.7, and SeuratDisk left out."""
    mdata = read(seurat_disk(tmp_path / "a.h5ad", LOGS, COUNTED, is_reference=is_reference))
    expected = ["T", "B"] * 30
    expected[5] = None
    column = mdata.obs["type"]
    assert column.astype(object).where(column.notna(), None).tolist() == expected
    assert ("type are factors of R" in log.text) is not is_reference
    prepare(mdata)
    np.testing.assert_array_equal(dense(mdata["rna"].layers["counts"]), COUNTED)


def test_scaled_data_of_seurat_are_no_expression(tmp_path: Path) -> None:
    """SeuratDisk puts z-scores of variable genes into X and logarithms into raw: no counts are left."""
    mdata = read(seurat_disk(tmp_path / "a.h5ad", ((LOGS - LOGS.mean(0)) / LOGS.std(0))[:, :20], LOGS))
    prepare(mdata)
    assert mdata.uns["scmoe"]["prepare"]["rna"]["kind"] == "continuous"


@pytest.mark.parametrize("name", ["chr{}:{}-{}", "chr{}-{}-{}", "chr{}_{}_{}"])
def test_peaks_of_signac_snapatac2_and_archr(name: str) -> None:
    peaks = annotated(sparse.csr_matrix(COUNTED.astype(np.uint32)))
    peaks.var_names = [name.format(i % 3 + 1, 500 * i, 500 * i + 499) for i in range(30)]
    peaks.obs_names = [f"S1#AAAC{i}-1" for i in range(60)]
    mdata = from_anndata(peaks, modality="x")
    prepare(mdata)
    assert mdata.uns["scmoe"]["prepare"]["x"]["kind"] == "peaks"


def test_filters_of_hdf5plugin_are_there_where_it_is_installed(tmp_path: Path, monkeypatch) -> None:
    """snapATAC2 compresses with one of them; on the command line nobody can import it first."""
    (tmp_path / "hdf5plugin.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "hdf5plugin", raising=False)
    annotated(COUNTED).write_h5ad(tmp_path / "a.h5ad")
    read(tmp_path / "a.h5ad")
    assert "hdf5plugin" in sys.modules
    monkeypatch.delitem(sys.modules, "hdf5plugin")
