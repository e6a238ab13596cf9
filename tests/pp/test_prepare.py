"""`prepare`: what each modality is taken for, what is written, and that errors write nothing."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scmoe._check import layer_names
from scmoe.datasets import read
from scmoe.io._quiet import quiet_mudata
from scmoe.pp import prepare
from scmoe.pp._normalize import clr, log_normalize

SHARED = Path(os.environ.get("SCMOE_SHARED", Path(__file__).parents[3] / "shared")) / "data"


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="The .future.infer_string. option")  # in anndata 0.13
        yield


def counts(n_features: int = 4, n_cells: int = 6, mean: float = 3.0) -> np.ndarray:
    values = np.random.default_rng(0).poisson(mean, (n_cells, n_features))
    values[0, 0] = 2
    return values


def modality(values, prefix: str = "f") -> ad.AnnData:
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(values.shape[0])])
    return ad.AnnData(values, obs=obs, var=pd.DataFrame(index=[f"{prefix}{i}" for i in range(values.shape[1])]))


def build(**mods) -> mudata.MuData:
    with quiet_mudata():
        return mudata.MuData({k: v if isinstance(v, ad.AnnData) else modality(v, k) for k, v in mods.items()})


def dense(matrix) -> np.ndarray:
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def record(mdata: mudata.MuData, name: str) -> dict:
    return mdata.uns["scmoe"]["prepare"][name]


def snapshot(mdata: mudata.MuData) -> dict:
    mods = {k: (type(a.X), a.X.dtype, dense(a.X).copy(), sorted(layer_names(a))) for k, a in mdata.mod.items()}
    return {"mods": mods, "uns": dict(mdata.uns)}


def test_choice_is_logged_and_recorded(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scmoe.pp._prepare.logger.propagate", True)
    mdata = build(x=counts(10))
    prepare(mdata)
    # A set: some versions of pytest also listen to loggers that do not propagate.
    (line,) = set(caplog.messages)
    assert line == f"x is taken for protein ({record(mdata, 'x')['reason']}): log1p, minus the cell's mean"


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("name", ["rna", "adt", "atac"])
def test_formats_and_types(convert, dtype, name: str) -> None:
    values = counts().astype(dtype)
    mdata = build(**{name: convert(values)})
    prepare(mdata)
    adata = mdata[name]
    np.testing.assert_array_equal(dense(adata.layers["counts"]), values)
    assert adata.layers["counts"].dtype == dtype
    assert adata.X.dtype == np.float32
    if convert is not np.asarray:
        assert adata.layers["counts"].format == "csr"
        assert name == "adt" or adata.X.format == "csr"
    expected = clr(values) if name == "adt" else log_normalize(values)
    np.testing.assert_allclose(dense(adata.X), expected, rtol=1e-6)


def test_second_call_changes_nothing() -> None:
    mdata = build(rna=sparse.csr_matrix(counts()), adt=counts(), ephys=counts() * 0.1)
    prepare(mdata)
    first = {name: dense(adata.X).copy() for name, adata in mdata.mod.items()}
    prepare(mdata)
    for name, adata in mdata.mod.items():
        np.testing.assert_array_equal(dense(adata.X), first[name])
    assert record(mdata, "rna")["source"] == "layers['counts']"


def test_existing_counts_are_the_source() -> None:
    adata = modality(np.full((6, 4), -7.5), "rna")
    adata.layers["counts"] = counts()
    mdata = build(rna=adata)
    prepare(mdata)
    np.testing.assert_allclose(mdata["rna"].X, log_normalize(counts()))


def test_continuous_and_lognormalized_are_left_as_they_are() -> None:
    mdata = build(ephys=np.where(np.eye(6, 4), np.nan, 0.5), rna=np.log1p(counts()))
    before = {name: adata.X for name, adata in mdata.mod.items()}
    prepare(mdata)
    assert all(adata.X is before[name] and not adata.layers for name, adata in mdata.mod.items())


def test_kind_can_be_overridden() -> None:
    mdata = build(rna=counts(), adt=counts())
    prepare(mdata, kinds={"rna": "protein", "adt": "continuous"})
    np.testing.assert_allclose(mdata["rna"].X, clr(counts()))
    np.testing.assert_array_equal(mdata["adt"].X, counts())
    assert record(mdata, "rna")["reason"] == "given by kinds"


def test_copy_leaves_the_original() -> None:
    mdata = build(rna=counts(), adt=sparse.csr_matrix(counts()))
    before = snapshot(mdata)
    result = prepare(mdata, copy=True)
    np.testing.assert_equal(snapshot(mdata), before)
    assert record(result, "rna")["kind"] == "rna"


def test_modality_that_is_a_view() -> None:
    whole = modality(counts(8), "rna")
    mdata = build(rna=whole[:, :4])
    prepare(mdata)
    assert mdata["rna"].shape == (6, 4)
    np.testing.assert_allclose(mdata["rna"].X, log_normalize(counts(8)[:, :4]))
    np.testing.assert_array_equal(whole.X, counts(8))


def test_view_of_mudata_is_prepared_as_a_copy() -> None:
    mdata = build(rna=counts())
    with quiet_mudata():
        view = mdata[:3]
    with pytest.raises(ValueError, match="is a view of another one"):
        prepare(view)
    assert prepare(view, copy=True).n_obs == 3
    np.testing.assert_array_equal(mdata["rna"].X, counts())


def test_missing_cells_are_fine() -> None:
    mdata = build(rna=counts(), adt=modality(counts())[2:].copy())
    prepare(mdata)
    assert (record(mdata, "rna")["n_cells"], record(mdata, "adt")["n_cells"]) == (6, 4)


def test_other_entries_of_uns_stay() -> None:
    mdata = build(rna=counts())
    mdata.uns["scmoe"] = {"params": 1}
    prepare(mdata)
    assert set(mdata.uns["scmoe"]) == {"params", "prepare"}


@pytest.mark.parametrize("suffix", ["h5mu", "zarr"])
def test_record_survives_disk(tmp_path: Path, suffix: str) -> None:
    mdata = build(rna=sparse.csr_matrix(counts()), adt=counts(), ephys=counts() * 0.1)
    prepare(mdata)
    with quiet_mudata():
        (mdata.write_h5mu if suffix == "h5mu" else mdata.write_zarr)(tmp_path / f"a.{suffix}")
    again = read(tmp_path / f"a.{suffix}")
    for name in mdata.mod:
        for key, value in record(mdata, name).items():
            np.testing.assert_array_equal(record(again, name)[key], value)
    assert (record(again, "rna")["kind"], record(again, "ephys")["kind"]) == ("rna", "continuous")


def damaged(value: float, n_cells: int = 6) -> np.ndarray:
    values = counts(10, n_cells).astype(float)
    values[3, 2] = value
    return values


def with_layer(layer: np.ndarray) -> ad.AnnData:
    adata = modality(counts(), "rna")
    adata.layers["counts"] = layer
    return adata


@pytest.mark.parametrize(
    ("mods", "kinds", "error", "match"),
    [
        ({"rna": counts()}, {"atac": "peaks"}, KeyError, r"modality 'atac'; the MuData has \['adt', 'rna'\]"),
        (
            {"rna": counts()},
            {"rna": "genes"},
            ValueError,
            r"kinds\['rna'\] must be one of rna, ambient, protein, .*'genes'",
        ),
        (
            {"rna": damaged(-1)},
            None,
            ValueError,
            r"\['rna'\].X must hold raw counts .* -1 for .*'rna2' in cell 'cell3'",
        ),
        ({"rna": damaged(0.5)}, None, ValueError, "found 0.5 for feature 'rna2' in cell 'cell3'"),
        ({"rna": sparse.csc_matrix(damaged(0.5))}, None, ValueError, "found 0.5 for feature 'rna2' in cell 'cell3'"),
        ({"rna": damaged(np.inf)}, None, ValueError, "found inf for feature 'rna2' in cell 'cell3'"),
        ({"x": -counts()}, {"x": "peaks"}, ValueError, r"mdata\['x'\].X must hold raw counts .* found -"),
        ({"x": np.log1p(counts(30, 30))}, {"x": "peaks"}, ValueError, "holds logarithms of counts. Say 'lognorm"),
        ({"x": counts()}, {"x": "lognormalized"}, ValueError, "'lognormalized', but .* holds raw counts"),
        ({"x": damaged(np.nan)}, {"x": "lognormalized"}, ValueError, "NaN for feature 'x2' in cell 'cell3'"),
        ({"x": damaged(np.inf)}, {"x": "continuous"}, ValueError, "found inf"),
        ({"rna": with_layer(np.log1p(counts()))}, None, ValueError, r"layers\['counts'\] must hold raw counts"),
        ({"a.b": counts()}, None, ValueError, "Rename the modality"),
        ({"rna": counts()}, "rna", TypeError, "kinds must be a dict or None; found 'rna'"),
    ],
)
def test_errors_name_the_place_and_write_nothing(mods, kinds, error, match: str) -> None:
    mdata = build(adt=sparse.csr_matrix(counts()), **mods)
    before = snapshot(mdata)
    with pytest.raises(error, match=match):
        prepare(mdata, kinds=kinds)
    np.testing.assert_equal(snapshot(mdata), before)


@pytest.mark.parametrize("uns", ["mine", {"prepare": "mine"}, {"missing": "mine"}])
def test_foreign_uns_entry_is_refused(uns) -> None:
    mdata = build(rna=counts())
    mdata.uns["scmoe"] = uns
    with pytest.raises(ValueError, match="must be free for"):
        prepare(mdata)
    assert not mdata["rna"].layers and mdata.uns["scmoe"] == uns


@pytest.mark.parametrize("record", ["mine", {"kind": "rna"}, {"steps": []}])
def test_a_record_that_is_none_is_replaced(record) -> None:
    mdata = build(rna=counts())
    mdata.uns["scmoe"] = {"prepare": {"rna": record}}
    prepare(mdata)
    assert mdata.uns["scmoe"]["prepare"]["rna"]["n_features"] == mdata["rna"].n_vars


def test_a_mask_does_not_replace_the_batches_that_are_read() -> None:
    mdata = build(rna=counts())
    mdata.obs["scmoe_panel"] = "a"
    mask = np.zeros(mdata["rna"].shape, bool)
    with pytest.raises(ValueError, match="batch_key='scmoe_panel' is read"):
        prepare(mdata, batch_key="scmoe_panel", missing={"rna": mask})


def test_backed_data_are_refused(tmp_path: Path) -> None:
    with quiet_mudata():
        build(rna=counts()).write_h5mu(tmp_path / "a.h5mu")
        mdata = mudata.read_h5mu(tmp_path / "a.h5mu", backed="r")
    with pytest.raises(ValueError, match="on_disk=True"):
        prepare(mdata)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("bmmc_cite", {"rna": "rna", "adt": "protein"}),
        ("pbmc10k_cite", {"rna": "rna", "adt": "protein"}),
        ("patchseq_m1", {"ephys": "continuous", "morph": "continuous"}),
    ],
)
def test_shared_data(name: str, kinds: dict[str, str]) -> None:
    path = SHARED / f"{name}.h5mu"
    if not path.exists():
        pytest.skip(f"{path.name} is not here; set SCMOE_SHARED to the folder that holds data/{path.name}")
    mdata = read(path)
    prepare(mdata)
    assert {m: record(mdata, m)["kind"] for m in mdata.mod} == kinds
    # The same without names to go by.
    with quiet_mudata():
        anonymous = mudata.MuData({f"m{i}": adata.copy() for i, adata in enumerate(read(path).mod.values())})
    prepare(anonymous)
    for original, nameless in zip(mdata.mod.values(), anonymous.mod.values(), strict=True):
        np.testing.assert_array_equal(dense(original.X), dense(nameless.X))


def cite(n_cells: int = 200) -> mudata.MuData:
    """RNA and proteins of two batches, without effects of them."""
    rng = np.random.default_rng(0)
    mdata = build(
        rna=sparse.csr_matrix(rng.poisson(rng.lognormal(1, 0.5, 50), (n_cells, 50)).astype(np.float32)),
        adt=rng.poisson(rng.lognormal(3, 0.5, 8), (n_cells, 8)).astype(np.float32),
    )
    mdata.obs["donor"] = pd.Categorical(np.where(np.arange(n_cells) % 2, "b", "a"))
    return mdata


@pytest.mark.parametrize("fill", [0.0, np.nan])
@pytest.mark.parametrize("batch_key", [None, "donor"])
def test_proteins_of_another_panel_are_missing_and_no_part_of_the_mean(fill: float, batch_key: str | None) -> None:
    mdata = cite()
    in_b = (mdata.obs["donor"] == "b").to_numpy()
    raw = mdata["adt"].X.copy()
    mdata["adt"].X[np.ix_(in_b, [5, 6, 7])] = fill
    prepare(mdata, batch_key=batch_key)
    assert record(mdata, "adt")["kind"] == "protein"
    np.testing.assert_allclose(mdata["adt"].X[~in_b], clr(raw[~in_b]), rtol=1e-5)
    np.testing.assert_allclose(mdata["adt"].X[in_b][:, :5], clr(raw[in_b][:, :5]), rtol=1e-5)
    assert np.isnan(mdata["adt"].X[in_b][:, 5:]).all()
    np.testing.assert_array_equal(mdata["adt"].layers["counts"][in_b][:, 5:], fill)
    if fill == 0:
        expected = [["adt", "donor", "b", f"adt{j}"] for j in (5, 6, 7)]
        assert mdata.uns["scmoe"]["missing"].to_numpy().tolist() == expected
    first = mdata["adt"].X.copy()
    prepare(mdata, batch_key=batch_key)
    np.testing.assert_array_equal(mdata["adt"].X, first)


def test_totals_are_over_the_genes_that_all_batches_have() -> None:
    mdata = cite()
    in_b = (mdata.obs["donor"] == "b").to_numpy()
    x = mdata["rna"].X.toarray()
    x[np.ix_(in_b, np.arange(20))] = 0
    mdata["rna"].X = sparse.csr_matrix(x)
    prepare(mdata)
    np.testing.assert_allclose(np.expm1(dense(mdata["rna"].X)[:, 20:]).sum(1), 1e4, rtol=1e-4)
    assert record(mdata, "rna")["steps"][0] == "total 10000 per cell over 30 features"
    assert set(mdata.uns["scmoe"]["missing"]["feature"]) == {f"rna{i}" for i in range(20)}


def test_zeros_are_values_if_the_user_says_so() -> None:
    mdata = cite()
    mdata["adt"].X[mdata.obs["donor"] == "b", 5:] = 0
    raw = mdata["adt"].X.copy()
    prepare(mdata, missing="never")
    np.testing.assert_allclose(mdata["adt"].X, clr(raw), rtol=1e-5)
    assert "missing" not in mdata.uns["scmoe"]


@pytest.mark.parametrize("name", ["adt", "rna"])
def test_a_mask_says_what_is_missing(name: str) -> None:
    mdata = cite()
    mask = np.zeros(mdata[name].shape, bool)
    mask[:30, :4] = True
    prepare(mdata, missing={name: mask})
    table = mdata.uns["scmoe"]["missing"]
    assert (table["column"] == "scmoe_panel").all() and table["feature"].tolist() == [f"{name}{i}" for i in range(4)]
    assert (mdata[name].obs["scmoe_panel"].to_numpy() == table["category"].iloc[0]).sum() == 30
    if name == "adt":
        np.testing.assert_array_equal(np.isnan(mdata["adt"].X), mask)
    prepare(mdata)  # the mask holds in later calls
    assert mdata.uns["scmoe"]["missing"].equals(table) and record(mdata, name)["missing"] == "mask"
    prepare(mdata, missing="never")
    assert "missing" not in mdata.uns["scmoe"]


def test_hashtags_are_no_part_of_the_mean_and_stay_in_the_file() -> None:
    adata = modality(np.hstack([counts(4), counts(2) * 50]), "p")
    adata.var_names = ["CD3", "CD4", "CD8", "CD19", "Hashtag1", "Hashtag2"]
    mdata = build(adt=adata)
    prepare(mdata)
    np.testing.assert_allclose(mdata["adt"].X[:, :4], clr(counts(4)), rtol=1e-5)
    assert mdata["adt"].var["scmoe_set_aside"].tolist() == [""] * 4 + ["hashtag"] * 2
    assert list(record(mdata, "adt")["set_aside"]) == ["Hashtag1", "Hashtag2"]
    prepare(mdata, set_aside="never")
    np.testing.assert_allclose(mdata["adt"].X, clr(mdata["adt"].layers["counts"]), rtol=1e-5)
    assert set(mdata["adt"].var["scmoe_set_aside"]) == {""}


def test_tags_and_guides_are_left_as_they_are() -> None:
    mdata = build(rna=counts(), hto=counts(), guides=counts())
    prepare(mdata)
    assert [record(mdata, name)["kind"] for name in ("hto", "guides")] == ["tags", "guides"]
    np.testing.assert_array_equal(mdata["hto"].X, counts())
    assert not mdata["hto"].layers
    prepare(mdata, kinds={"hto": "protein"})
    np.testing.assert_allclose(mdata["hto"].X, clr(counts()), rtol=1e-5)


def test_counts_with_the_rounding_of_logarithms_are_counts() -> None:
    exact = counts(30, 40).astype(np.float32)
    mdata = build(rna=np.expm1(np.log1p(exact)))
    prepare(mdata)
    np.testing.assert_array_equal(mdata["rna"].layers["counts"], exact)


@pytest.mark.parametrize("kinds", [None, {"rna": "rna"}, {"rna": "ambient"}])
def test_counts_without_ambient_molecules_are_normalized(kinds, caplog, monkeypatch) -> None:
    monkeypatch.setattr("scmoe.pp._modality.logger.propagate", True)
    rng = np.random.default_rng(0)
    raw = rng.poisson(rng.lognormal(1, 1, 60), (80, 60))
    fractional = np.maximum(raw - rng.uniform(0, 0.3, (80, 1)) * raw.mean(0), 0)
    mdata = build(rna=fractional)
    prepare(mdata, kinds=kinds)
    np.testing.assert_allclose(mdata["rna"].X, log_normalize(fractional), rtol=1e-5)
    np.testing.assert_array_equal(mdata["rna"].layers["counts"], fractional)
    assert record(mdata, "rna")["kind"] == (kinds["rna"] if kinds else "ambient")
    warned = [line.message for line in caplog.records if line.levelname == "WARNING"]
    assert bool(warned) == (kinds is None)


def many(n_features: int = 60) -> mudata.MuData:
    mdata = build(rna=sparse.csr_matrix(counts(n_features, 100, mean=1.0)))
    mdata.obs["split"] = pd.Categorical(np.where(np.arange(100) < 70, "train", "test"))
    return mdata


def test_variable_features_are_chosen_by_training_cells_and_totals_are_of_all() -> None:
    mdata = many()
    prepare(mdata, n_top_features=20)
    chosen = mdata["rna"].var["highly_variable"].to_numpy()
    assert 20 <= chosen.sum() < 30  # scanpy takes all that tie
    np.testing.assert_allclose(np.expm1(dense(mdata["rna"].X)).sum(1), 1e4, rtol=1e-4)
    other = many()
    # Test cells are not looked at.
    other["rna"].X = sparse.vstack([other["rna"].X[:70], other["rna"].X[:30]], format="csr")
    prepare(other, n_top_features=20)
    np.testing.assert_array_equal(other["rna"].var["highly_variable"], chosen)


def test_the_features_that_a_user_has_marked_stay() -> None:
    mdata = many()
    mine = np.arange(60) % 3 == 0
    mdata["rna"].var["highly_variable"] = mine
    prepare(mdata, n_top_features=20)
    np.testing.assert_array_equal(mdata["rna"].var["highly_variable"], mine)


def test_features_are_chosen_where_there_are_very_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scmoe.pp._variable.MANY", {"rna": 50})
    monkeypatch.setattr("scmoe.pp._variable.N_TOP", {"rna": 10})
    mdata = many()
    prepare(mdata)
    assert 10 <= mdata["rna"].var["highly_variable"].sum() < 20
    for data, arguments in ((many(), {"n_top_features": None}), (many(40), {})):
        prepare(data, **arguments)
        assert "highly_variable" not in data["rna"].var


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"batch_key": "x"}, KeyError, "batch_key='x' is not a column"),
        ({"missing": "always"}, ValueError, "found 'always'"),
        ({"missing": {"rna": np.zeros((2, 2), bool)}}, ValueError, "200 cells x 50 features; found bool"),
        ({"missing": {"x": None}}, KeyError, "missing names the modality 'x'"),
        ({"set_aside": "x"}, ValueError, "found 'x'"),
        ({"set_aside": {"adt": [f"adt{i}" for i in range(8)]}}, ValueError, r"All 8 features of mdata\['adt'\]"),
        ({"n_top_features": 0}, ValueError, "found 0"),
        ({"n_top_features": True}, TypeError, "found True"),
    ],
)
def test_bad_arguments_change_nothing(arguments, error, match: str) -> None:
    mdata = cite()
    before = snapshot(mdata)
    with pytest.raises(error, match=match):
        prepare(mdata, **arguments)
    np.testing.assert_equal(snapshot(mdata), before)
    assert list(mdata.obs) == ["donor"]
