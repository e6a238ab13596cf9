"""The report: what it says, what it leaves out, and what a browser does with it."""

import base64
import json
import re
import shutil
import subprocess
import zlib

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import NearestNeighbors

import scmoe
from scmoe._keys import Keys
from scmoe._matrix import dense
from scmoe.metrics._mixing import knn_mixing
from scmoe.pl.page import _cells
from scmoe.pl.page._cells import pack_cells
from scmoe.pl.page._predictions import predictions_section

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
DRIVER = """
<script>
window.addEventListener("error", (event) => { document.body.dataset.errors = event.message; });
(async () => {
  const pause = () => new Promise((resolve) => setTimeout(resolve, 300));
  const byId = (id) => document.getElementById(id), out = document.body.dataset;
  await pause();
  out.first = byId("column").selectedOptions[0].text;
  byId("search").value = "GENE3";
  byId("search").dispatchEvent(new Event("change"));
  await pause();
  out.searched = byId("column").selectedOptions[0].text;
  const options = [...byId("column").options];
  byId("column").value = options.find((option) => option.text === "cell_type").value;
  byId("column").dispatchEvent(new Event("change"));
  await pause();
  out.switched = [...byId("legend").querySelectorAll("button")].map((button) => button.textContent).join("|");
  byId("legend").querySelector("button").click();
  out.alone = byId("legend").querySelector("button").getAttribute("aria-pressed");
  byId("search").value = "no such gene";
  byId("search").dispatchEvent(new Event("change"));
  await pause();
  out.unknown = byId("message").textContent;
  const box = byId("canvas").getBoundingClientRect();
  const pixels = byId("canvas").getContext("2d").getImageData(0, 0, byId("canvas").width, byId("canvas").height).data;
  out.painted = pixels.some((value) => value > 0);
  for (let left = 0; left < box.width && byId("tip").hidden; left += 6)
    for (let top = 0; top < box.height && byId("tip").hidden; top += 6)
      byId("canvas").dispatchEvent(new PointerEvent("pointermove", {
        pointerType: "mouse", clientX: box.left + left, clientY: box.top + top }));
  out.tip = byId("tip").textContent;
  out.wide = document.documentElement.scrollWidth > window.innerWidth;
})();
</script>
"""


@pytest.fixture(scope="module")
def result(fresh, tl_train):
    """Results of all that a training writes, with a column and a gene whose names are markup."""
    mdata = fresh("paired")
    mdata.obs["<b>note</b>"] = pd.Categorical(np.where(np.arange(mdata.n_obs) % 2, "<i>x</i>", "</script>"))
    model = tl_train(mdata, labels_key="cell_type", batch_key="batch", predict=True, umap=True)
    scmoe.tl.expert_usage(mdata, model, groupby="cell_type")
    scmoe.tl.markers(mdata, groupby="cell_type")
    return mdata


@pytest.fixture(scope="module")
def page(result, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "page.html"
    return scmoe.pl.report(result, path, color=["cell_type", "gene3"], title="Ours & <theirs>").read_text("utf-8")


def titles(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def test_every_result_has_its_section(page):
    names = "Clusters|Markers|Labels|Batches|Predictions|Experts|Settings and versions"
    expected = f"Map of the cells|The data|The training|{names}"
    assert titles(page)[1:] == expected.split("|")


def test_warnings_of_the_training_come_first(page, result):
    (sentence, *_) = result.uns["scmoe"]["diagnostics"]["verdict"]
    assert titles(page)[0] == "What needs a look"
    assert page.index(sentence) < page.index('id="map"')


def test_planted_markers_are_named(page):
    """gene1, gene4, … are those of NK."""
    table = page.split("Markers in rna")[1].split("</table>")[0]
    numbers = re.findall(r"NK</th><td>gene(\d+)<", table)
    assert len(numbers) == 3 and {int(number) % 3 for number in numbers} == {1}


def test_names_with_markup_are_text(page):
    assert "<title>Ours &amp; &lt;theirs&gt;</title>" in page
    payload = page.split('id="cells">')[1].split("</script>")[0]
    assert "<b>note</b>" not in page and "<i>x</i>" not in page
    names = [column["name"] for column in json.loads(payload)["columns"]]
    assert names[0] == "cell_type" and "<b>note</b>" in names


def test_nothing_is_loaded_from_elsewhere(page):
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page) and "@import" not in page and "url(" not in page


def unpack(text: str, dtype: str) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype)


def test_the_map_holds_the_cells_as_they_are(result):
    cells = pack_cells(result, Keys(), ["cell_type", "protein2"])
    names = zlib.decompress(base64.b64decode(cells.payload["names"])).decode().split("\n")
    assert sorted(names) == sorted(result.obs_names)
    points = result[names].obsm["scmoe_umap"]
    drawn = np.column_stack([unpack(cells.payload[axis], "<u2") for axis in "xy"])
    scale = np.ptp(points, axis=0).max() / 65535
    np.testing.assert_allclose(drawn * scale - (drawn * scale).min(0), points - points.min(0), atol=2 * scale)
    column = cells.payload["columns"][0]
    assert [column["names"][code] for code in unpack(column["codes"], "u1")] == list(result[names].obs["cell_type"])
    feature = cells.payload["features"][0]
    assert (feature["name"], feature["modality"]) == ("protein2", "adt")
    values = result["adt"][names].X[:, list(result["adt"].var_names).index("protein2")]
    steps = feature["low"] + unpack(feature["values"], "u1") / 254 * (feature["high"] - feature["low"])
    np.testing.assert_allclose(
        steps, np.minimum(values, feature["high"]), atol=(feature["high"] - feature["low"]) / 500
    )


def test_cells_without_a_modality_have_no_value(mosaic, tl_train):
    tl_train(mosaic, umap=True)
    cells = pack_cells(mosaic, Keys(), ["protein1"])
    names = zlib.decompress(base64.b64decode(cells.payload["names"])).decode().split("\n")
    missing = unpack(cells.payload["features"][0]["values"], "u1") == 255
    np.testing.assert_array_equal(missing, ~pd.Index(names).isin(mosaic["adt"].obs_names))


def test_of_many_cells_a_sample_is_shown_and_said(result, monkeypatch, tmp_path):
    monkeypatch.setattr(_cells, "MAX_CELLS", 50)
    page = scmoe.pl.report(result, tmp_path / "page.html").read_text("utf-8")
    assert f"random sample of 50 of {result.n_obs} cells" in page


def test_features_end_where_the_page_is_full(result, monkeypatch):
    monkeypatch.setattr(_cells, "MAX_BYTES", 1000)
    cells = pack_cells(result, Keys(), ["gene7"])
    assert 1 < len(cells.payload["features"]) < 20 and cells.payload["features"][0]["name"] == "gene7"
    assert sum(len(feature["values"]) for feature in cells.payload["features"]) <= 1000


def test_predictions_of_training_cells_are_not_scored(result):
    unknown = result.copy()
    del unknown.obs["scmoe_split"]
    section = predictions_section(unknown, Keys())
    assert not section.tables and "cannot be said" in section.sentences[0]


def test_predictions_stand_beside_ridge_regression(fresh, tl_train):
    mdata = fresh("paired")
    tl_train(mdata, predict=True, train_kwargs={"train_size": 0.5, "validation_size": 0.1})
    (row, _) = predictions_section(mdata, Keys()).tables[0].rows
    assert row[0] == "rna from adt" and row[2] == str((mdata.obs["scmoe_split"] != "training cell").sum())
    for interval in row[3:]:
        median, low, high = map(float, re.findall(r"-?\d+\.\d+", interval))
        assert low <= median <= high


@pytest.mark.parametrize(("layer", "likelihood"), [(None, "gaussian"), ("values", "gaussian"), ("counts", "nb")])
def test_predictions_are_compared_with_what_the_model_read(fresh, tl_train, layer, likelihood):
    """Noise in X takes nothing from a model that read a layer; and counts are compared at one depth."""
    mdata = fresh("paired")
    adt = mdata["adt"]
    adt.layers["values"] = adt.X.copy()
    kwargs = {"layers": {"adt": layer}, "likelihoods": {"adt": likelihood}}
    tl_train(mdata, predict=True, train_kwargs={"train_size": 0.5, "validation_size": 0.1}, **kwargs)
    cells = mdata["adt"][mdata.obs_names[mdata.obs["scmoe_split"] != "training cell"]]
    predicted = cells.layers[Keys().imputed("adt", ["rna"])]
    observed = dense(cells.X if layer is None else cells.layers[layer])
    if layer == "counts":
        observed = np.stack([row / row.sum() for row in observed])
    expected = np.median([np.corrcoef(one, other)[0, 1] for one, other in zip(observed.T, predicted.T, strict=True)])
    if layer is not None:
        mdata["adt"].X = np.random.default_rng(0).normal(size=adt.shape).astype(np.float32)
    row = next(row for row in predictions_section(mdata, Keys()).tables[0].rows if row[0] == "adt from rna")
    assert float(row[3].split()[0]) == pytest.approx(expected, abs=0.006)


def test_mixing_is_that_of_a_slow_count():
    rng = np.random.default_rng(0)
    points, batch = rng.normal(size=(60, 3)), rng.permutation(np.repeat(["a", "b", "c"], [30, 20, 10]))
    near = NearestNeighbors(n_neighbors=16).fit(points).kneighbors(points, return_distance=False)[:, 1:]
    observed = np.mean([np.mean(batch[near[i]] != batch[i]) for i in range(60)])
    expected = np.mean([np.mean(batch != batch[i]) for i in range(60)])
    assert knn_mixing(points, batch) == pytest.approx(observed / expected)


def test_a_query_is_reported_without_a_training(result, fresh, fit_model, tmp_path):
    model = fit_model(fresh("paired"), setup={"labels_key": "cell_type"})
    query = fresh("paired")[:60].copy()
    scmoe.tl.map_query(query, model)
    page = scmoe.pl.report(query, tmp_path / "query.html").read_text("utf-8")
    assert titles(page)[1:] == ["The data", "Fit of the query", "Labels"]


def test_an_anndata_is_reported(single, tl_train, tmp_path):
    adata = single["rna"]
    tl_train(adata, umap=True)
    assert "gene3" in scmoe.pl.report(adata, tmp_path / "page.html", color="gene3").read_text("utf-8")


def test_data_stay_as_they_are(result, tmp_path, contents):
    before = contents(result)
    scmoe.pl.report(result, tmp_path / "page.html")
    assert contents(result) == before


def test_what_cannot_be_reported(result, raw, tmp_path):
    with pytest.raises(KeyError, match=r"no results of scmoe.*scmoe train FILE"):
        scmoe.pl.report(raw, tmp_path / "page.html")
    with pytest.raises(KeyError, match="under 'scmoe': pass key='scmoe'"):
        scmoe.pl.report(result, tmp_path / "page.html", key="other")
    with pytest.raises(KeyError, match="color='gene99' is neither a column"):
        scmoe.pl.report(result, tmp_path / "page.html", color="gene99")
    with pytest.raises(OSError, match="ends in .html"):
        scmoe.pl.report(result, tmp_path / "page.pdf")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [1200, 380])
def test_a_browser_searches_and_switches(page, tmp_path, width):
    file = tmp_path / "driven.html"
    file.write_text(page.replace("</body>", f"{DRIVER}</body>"), "utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000", f"--window-size={width},900"]
    run = subprocess.run([*command, file.as_uri()], capture_output=True, text=True, timeout=240, check=True)
    assert "CONSOLE" not in run.stderr
    seen = dict(re.findall(r'data-(\w+)="([^"]*)"', re.search(r"<body[^>]*>", run.stdout)[0]))
    assert "errors" not in seen
    assert (seen["first"], seen["searched"], seen["alone"]) == ("cell_type", "gene3", "true")
    assert re.fullmatch(r"B \(\d+\)\|NK \(\d+\)\|T \(\d+\)", seen["switched"])
    assert "no such gene" in seen["unknown"] and seen["painted"] == "true"
    assert re.match(r"cell\d+: cell_type (B|NK|T)$", seen["tip"])
    assert seen["wide"] == "false", "the page is wider than the window"
