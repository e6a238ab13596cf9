"""Readers of the scMoE paper's data sets, on files of their layouts."""

import gzip
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import scmoe
from scmoe.datasets.paper import _bmmc_multiome, _patchseq_gaba
from scmoe.datasets.paper._peak_genes import nearest_genes


def table(n: int, d: int, obs: dict, names: list[str] | None = None) -> ad.AnnData:
    rng = np.random.default_rng(d)
    frame = pd.DataFrame(obs, index=names or [str(i) for i in range(n)])
    return ad.AnnData(
        rng.gamma(2, size=(n, d)).astype(np.float32), obs=frame, var=pd.DataFrame(index=[f"f{i}" for i in range(d)])
    )


GABA = {"cell_type_TEM": ["Sst-MET-1", "Vip-MET-2", "Sst-MET-1"], "cell_type_T": ["Sst Esm1", "Vip Gpc3", "Sst Chodl"]}


def write_gaba(folder: Path, **changed: dict) -> Path:
    folder.mkdir(exist_ok=True)
    for d, (name, file) in enumerate(_patchseq_gaba.FILES.items(), start=2):
        table(3, d, changed.get(name, GABA)).write_h5ad(folder / file)
    return folder


def test_patchseq_gaba(tmp_path):
    mdata = scmoe.datasets.patchseq_gaba(write_gaba(tmp_path))
    assert {name: adata.shape for name, adata in mdata.mod.items()} == {"rna": (3, 2), "ephys": (3, 3), "morph": (3, 4)}
    assert list(mdata.obs["major"]) == ["Sst", "Vip", "Sst"] and list(mdata.obs) == ["met_type", "t_type", "major"]
    assert list(mdata.obs_names) == list(mdata["morph"].obs_names) == ["n0", "n1", "n2"]
    np.testing.assert_array_equal(mdata["ephys"].X, table(3, 3, GABA).X)
    scmoe.datasets.write(mdata, tmp_path / "all.h5mu")
    assert list(scmoe.datasets.patchseq_gaba(tmp_path / "all.h5mu").obs["met_type"]) == GABA["cell_type_TEM"]


def test_patchseq_gaba_is_downloaded_once(tmp_path, monkeypatch, serve):
    write_gaba(tmp_path / "files")
    address, asked = serve(tmp_path / "files")
    monkeypatch.setattr(_patchseq_gaba, "REPOSITORY", f"{address}/")
    monkeypatch.setenv("SCMOE_DATA_DIR", str(tmp_path / "cache"))
    for _ in range(2):
        assert scmoe.datasets.patchseq_gaba().n_obs == 3
    assert sorted(asked) == sorted(f"/{name}" for name in _patchseq_gaba.FILES.values())


def test_files_that_are_not_of_the_same_cells_are_refused(tmp_path):
    other = {**GABA, "cell_type_TEM": ["Sst-MET-1", "Sst-MET-1", "Vip-MET-2"]}
    with pytest.raises(ValueError, match="'cell_type_TEM' of cell 'n1' is another in morph than in rna"):
        scmoe.datasets.patchseq_gaba(write_gaba(tmp_path, morph=other))


@pytest.mark.parametrize("reader", ["patchseq_gaba", "dbitseq", "dlpfc"])
def test_absent_files_are_named(tmp_path, reader):
    with pytest.raises(FileNotFoundError, match=r"lacks .*\.h5ad"):
        getattr(scmoe.datasets, reader)(tmp_path)


def test_an_absent_column_is_named(tmp_path):
    with pytest.raises(ValueError, match="adata_RNA_TEM.h5ad must have the columns cell_type_TEM, cell_type_T in obs"):
        scmoe.datasets.patchseq_gaba(write_gaba(tmp_path, rna={"type": ["a", "b", "c"]}))


def spots(n: int, start: int = 0, **more: object) -> dict:
    rows = np.arange(start, start + n)
    return {"cell_type": [f"layer {i % 2}" for i in rows], "array_row": rows.astype(str), "array_col": 2 * rows, **more}


def test_dbitseq(tmp_path):
    for d, stem in enumerate(("adata_rna", "adata_protein", "adata_niche_rna"), start=2):
        table(5, d, spots(5)).write_h5ad(tmp_path / f"{stem}_train.h5ad")
        table(3, d, spots(3, 5)).write_h5ad(tmp_path / f"{stem}_test.h5ad")
    mdata = scmoe.datasets.dbitseq(tmp_path)
    assert list(mdata.mod) == ["rna", "protein", "rna_niche"] and mdata.n_obs == 8 and mdata.obs_names.is_unique
    assert list(mdata.obs["split"]) == ["train"] * 5 + ["test"] * 3
    np.testing.assert_array_equal(mdata["protein"].obsm["spatial"][6], [6, 12])
    np.testing.assert_array_equal(mdata["rna"].X[5:], table(3, 2, {}).X)
    assert list(mdata.obs["cell_type"][:2]) == ["layer 0", "layer 1"]


def test_dlpfc(tmp_path):
    names = ["AAC-1", "AAG-1", "AAC-1", "AAG-1"]  # barcodes repeat from slice to slice
    for d, stem in enumerate(("adata_rna_all", "adata_morph_all", "adata_mrna_niche_all"), start=2):
        table(4, d, spots(4, batch=["151507", "151507", "151508", "151508"]), names).write_h5ad(
            tmp_path / f"{stem}.h5ad"
        )
    mdata = scmoe.datasets.dlpfc(tmp_path)
    assert list(mdata.mod) == ["rna", "morph", "rna_niche"] and mdata.n_obs == 4 and mdata.obs_names.is_unique
    assert list(mdata.obs["batch"].cat.categories) == ["151507", "151508"]


GTF = [
    "# a comment",
    'chr1\th\tgene\t101\t500\t.\t+\t.\tgene_id "E1"; gene_name "A";',
    'chr1\th\texon\t101\t200\t.\t+\t.\tgene_id "E1"; gene_name "A";',
    'chr1\th\tgene\t600\t1000\t.\t-\t.\tgene_id "E2"; gene_name "B";',
    '2\th\tgene\t50\t80\t.\t+\t.\tgene_id "E3";',
]


def test_peaks_get_the_gene_whose_start_is_nearest(tmp_path):
    path = tmp_path / "genes.gtf.gz"
    path.write_bytes(gzip.compress("\n".join(GTF).encode()))
    peaks = ["chr1:90-110", "chr1-120-700", "chr1_980_990", "chr2:1-10", "chrX:1-5", "no place"]
    found = nearest_genes(peaks, path)
    assert found["gene"].fillna("").tolist() == ["A", "A", "B", "E3", "", ""]
    np.testing.assert_array_equal(found["gene_distance"], [0, 20, 10, 40, np.nan, np.nan])


def test_the_nearest_gene_equals_the_slow_form(tmp_path):
    rng = np.random.default_rng(0)
    starts, path = rng.integers(0, 10_000, 40), tmp_path / "genes.gtf"
    lines = [f'chr1\th\tgene\t{at + 1}\t{at + 2}\t.\t+\t.\tgene_id "E{i}";' for i, at in enumerate(starts)]
    path.write_text("\n".join(lines))
    places = [(at, at + width) for at, width in zip(rng.integers(0, 10_000, 60), rng.integers(1, 600, 60), strict=True)]
    found = nearest_genes([f"chr1:{a}-{b}" for a, b in places], path)
    slow = [min(max(a - at, at - (b - 1), 0) for at in starts) for a, b in places]
    np.testing.assert_array_equal(found["gene_distance"], slow)


def test_other_chromosomes_are_refused(tmp_path):
    (tmp_path / "genes.gtf").write_text("\n".join(GTF))
    with pytest.raises(ValueError, match="No peak lies on a chromosome of"):
        nearest_genes(["GL000.1:1-5"], tmp_path / "genes.gtf")


def test_bmmc_multiome(tmp_path, monkeypatch, serve):
    types = ["GEX"] * 3 + ["ATAC"] * 2
    var = pd.DataFrame({"feature_types": types}, index=["CD3E", "CD19", "LYZ", "chr1-90-110", "chr1-980-990"])
    counts = sparse.random(6, 5, 0.6, "csr", np.float32, np.random.default_rng(0), lambda n: np.ones(n))
    obs = pd.DataFrame({"cell_type": ["B", "T"] * 3, "batch": ["s1d1"] * 6}, index=[f"c{i}" for i in range(6)])
    adata = ad.AnnData(counts, obs=obs, var=var, layers={"counts": counts})
    adata.write_h5ad(tmp_path / "plain.h5ad")
    name = _bmmc_multiome.URL.rsplit("/", 1)[-1]
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / name).write_bytes(gzip.compress((tmp_path / "plain.h5ad").read_bytes()))
    (tmp_path / "genes.gtf").write_text("\n".join(GTF))
    address, asked = serve(tmp_path / "files")
    monkeypatch.setattr(_bmmc_multiome, "URL", f"{address}/{name}")
    monkeypatch.setenv("SCMOE_DATA_DIR", str(tmp_path / "cache"))
    for _ in range(2):
        mdata = scmoe.datasets.bmmc_multiome(genes=tmp_path / "genes.gtf")
    assert asked == [f"/{name}"]
    assert {key: part.shape for key, part in mdata.mod.items()} == {"rna": (6, 3), "atac": (6, 2)}
    assert list(mdata["atac"].var["gene"]) == ["A", "B"] and list(mdata.obs["cell_type"][:2]) == ["B", "T"]
    assert scmoe.datasets.bmmc_multiome(tmp_path / "plain.h5ad")["rna"].n_obs == 6
