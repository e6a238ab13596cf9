"""Responses to perturbations: baselines, ridge on features of genes, scores, folds, and the simulated screen."""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from scipy import sparse
from sklearn.linear_model import Ridge

import scmoe.studies.perturbation._gears_response as gears_study
import scmoe.studies.perturbation._run as perturbation_run
from scmoe.benchmark._baselines import ALPHAS
from scmoe.pp._normalize import log_normalize
from scmoe.studies.perturbation._baselines import additive_response, response_scores, responses, ridge_response
from scmoe.studies.perturbation._gears import gene_context_features, to_gears
from scmoe.studies.perturbation._run import pca_loadings, run_perturbation, simulate_screen
from scmoe.studies.perturbation._table import perturbation_table

N_GENES, N_HIT, WIDTH = 60, 10, 2
GENES = [f"gene{i}" for i in range(N_GENES)]
PAIRS = [(i, (i + 3) % N_HIT) for i in range(0, N_HIT, 2)]


def planted(seed: int = 0) -> tuple[AnnData, np.ndarray]:
    """A screen whose responses are linear in features of the genes hit, and these features."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(N_GENES, WIDTH))
    effects = 0.3 * features @ rng.normal(size=(WIDTH, N_GENES))
    base = rng.uniform(50, 200, N_GENES)
    counts, condition = [rng.poisson(base, size=(30, N_GENES))], ["ctrl"] * 30
    for hit in [*((i,) for i in range(N_HIT)), *PAIRS]:
        rate = base * np.exp(effects[list(hit)].sum(axis=0))
        rate[list(hit)] = 0
        counts.append(rng.poisson(rate, size=(10, N_GENES)))
        condition += ["+".join([GENES[i] for i in hit] + ["ctrl"] * (len(hit) == 1))] * 10
    obs = pd.DataFrame({"condition": condition, "cell_type": "A"}, index=[f"cell{i}" for i in range(len(condition))])
    matrix = sparse.csr_matrix(np.concatenate(counts).astype(np.float32))
    return AnnData(matrix, obs=obs, var=pd.DataFrame(index=GENES)), features


@pytest.fixture(scope="module")
def screen() -> AnnData:
    return planted()[0]


@pytest.fixture(scope="module")
def table(screen: AnnData) -> pd.DataFrame:
    return perturbation_table({"true": planted()[1]}, screen)


def test_responses_are_changes_of_summed_cells(screen: AnnData) -> None:
    result = responses(screen)
    level = {}
    for name in ("ctrl", result.name[3]):
        total = sum(screen.X[i].toarray().ravel() for i in np.flatnonzero(screen.obs["condition"] == name))
        level[name] = np.log1p(1e4 * total / total.sum())
    np.testing.assert_allclose(result.change[3], level[result.name[3]] - level["ctrl"], atol=1e-5)
    assert [GENES[i] for i in np.flatnonzero(result.perturbed[3])] == result.name[3].replace("+ctrl", "").split("+")
    assert len(result.name) == N_HIT + len(PAIRS)


def test_additive_response_is_the_sum_of_singles_and_zero_for_unseen() -> None:
    perturbed = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0]], bool)
    change = np.array([[-3.0, 1, 2], [0, -5, 1], [100, 100, 100]])
    unseen = np.array([[1, 1, 0], [1, 0, 1], [0, 0, 1]], bool)
    np.testing.assert_array_equal(additive_response(perturbed, change, unseen), [[-3, -4, 3], [-3, 1, 2], [0, 0, 0]])


def test_ridge_uses_the_penalty_that_predicts_left_out_genes_best() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(8, 2))
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    perturbed = np.zeros((9, 8), bool)
    perturbed[np.arange(6), np.arange(6)] = True
    perturbed[[6, 6, 7, 7, 8, 8], [0, 1, 2, 3, 4, 5]] = True
    change = perturbed @ scaled @ rng.normal(size=(2, 4)) + rng.normal(size=(9, 4))
    unseen = np.eye(8, dtype=bool)[6:]
    errors = np.zeros(len(ALPHAS))
    for gene in range(6):
        out = perturbed[:, gene]
        for i, alpha in enumerate(ALPHAS):
            model = Ridge(alpha).fit(perturbed[~out] @ scaled, change[~out])
            errors[i] += np.mean((model.predict(perturbed[out] @ scaled) - change[out]) ** 2)
    assert 0 < errors.argmin() < len(ALPHAS) - 1
    expected = Ridge(ALPHAS[errors.argmin()]).fit(perturbed @ scaled, change).predict(unseen @ scaled)
    np.testing.assert_allclose(ridge_response(features, perturbed, change, unseen), expected)


def test_scores_leave_out_perturbed_genes_and_single_out_those_that_change_most() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.normal(size=(2, 2, 50))
    perturbed = np.zeros((2, 50), bool)
    perturbed[0, 4], truth[0, 4] = True, -100.0
    scores = response_scores(truth, predicted, perturbed)
    y, p = np.delete(truth[0], 4), np.delete(predicted[0], 4)
    top = np.argsort(-np.abs(y))[:20]
    expected = [
        np.mean((y - p) ** 2),
        np.corrcoef(y, p)[0, 1],
        np.mean((y - p)[top] ** 2),
        np.corrcoef(y[top], p[top])[0, 1],
    ]
    assert list(scores) == ["mse", "pearson", "mse_top", "pearson_top"]
    np.testing.assert_allclose([values[0] for values in scores.values()], expected)


def test_features_that_decide_responses_beat_all_that_know_nothing(table: pd.DataFrame) -> None:
    single = table[table["setting"] == "single"].groupby("method")[["mse", "pearson_top"]].mean()
    assert single["mse"]["ridge, true"] < 0.2 * single["mse"].drop("ridge, true").min()
    assert single["pearson_top"]["ridge, true"] > 0.9 > 0.3 > single["pearson_top"][f"ridge, random {WIDTH}"]


def test_left_out_perturbations_are_unseen(table: pd.DataFrame) -> None:
    """An additive prediction of what was left out is no change, unless something of it leaked."""
    scores = table.set_index("method").drop(columns="condition")
    for setting in ("single", "double, 0 seen"):
        of = scores[scores["setting"] == setting]
        assert of.loc["additive"].equals(of.loc["no change"].rename(index={"no change": "additive"}))
    seen = scores[scores["setting"] == "double, 2 seen"]["mse"].groupby(level=0).mean()
    assert seen["additive"] < 0.2 * seen["no change"]


def test_every_perturbation_is_left_out_and_singles_once(table: pd.DataFrame, screen: AnnData) -> None:
    one = table[table["method"] == "mean"]
    assert set(one["condition"]) == set(screen.obs["condition"]) - {"ctrl"}
    assert (one[one["setting"] == "single"]["condition"].value_counts() == 1).all()
    assert set(one["setting"]) >= {"single", "double, 1 seen", "double, 2 seen"}


def test_seed_decides_the_table(screen: AnnData, table: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(perturbation_table({"true": planted()[1]}, screen), table)
    assert not perturbation_table({}, screen, seed=1)["condition"].equals(table["condition"])


def test_genes_that_nothing_perturbs_need_no_features(screen: AnnData) -> None:
    features = planted()[1]
    features[N_HIT:] = np.nan
    mse = perturbation_table({"partly": features}, screen).groupby("method")["mse"].mean()
    assert mse["ridge, partly"] < 0.3 * mse["mean"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda a, f: (a, f[:5]), r"features 'true' must be 60 genes x width; found the shape \(5, 2\)"),
        (lambda a, f: (a, np.where(np.arange(N_GENES)[:, None] == 2, np.nan, f)), "missing for 1 of the 10 .* 'gene2'"),
        (lambda a, f: (AnnData(a.X / 3, obs=a.obs, var=a.var), f), "must hold raw counts"),
        (lambda a, f: (AnnData(a.X, obs=a.obs[["cell_type"]], var=a.var), f), "must have the column 'condition'"),
        (lambda a, f: (a[a.obs["condition"] != "ctrl"].copy(), f), "must have 'ctrl' and perturbations; found"),
        (lambda a, f: (a[:30].copy(), f), "must have 'ctrl' and perturbations; found .'ctrl'"),
        (lambda a, f: (a[a.obs["condition"].isin(["ctrl", "gene1+ctrl"])].copy(), f), "At least 5 genes .* found 1"),
        (lambda a, f: (AnnData(a.X[:, 1:], obs=a.obs, var=a.var[1:]), f[1:]), "names 'gene0', which is not among"),
    ],
)
def test_unusable_input_is_refused(screen: AnnData, change, match: str) -> None:
    changed, features = change(screen, planted()[1])
    with pytest.raises(ValueError, match=match):
        perturbation_table({"true": features}, changed)


def test_context_is_averaged_over_cells() -> None:
    context = np.random.default_rng(0).normal(size=(7, 4, 3))
    np.testing.assert_allclose(gene_context_features(context), context.mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(gene_context_features(iter(context)), gene_context_features(context))


@pytest.mark.parametrize(
    ("context", "match"),
    [
        (np.zeros((0, 4, 3)), "no cells"),
        (np.zeros((4, 3)), r"genes x width, .* \(3,\) for cell 1"),
        ([np.zeros((4, 3)), np.zeros((4, 2))], r"\(4, 2\) for cell 2"),
    ],
)
def test_context_of_another_shape_is_refused(context, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        gene_context_features(context)


def test_gears_form_survives_a_file(screen: AnnData, tmp_path) -> None:
    features = planted()[1]
    to_gears(screen, features).write_h5ad(tmp_path / "screen.h5ad")
    adata = read_h5ad(tmp_path / "screen.h5ad")
    np.testing.assert_allclose(np.expm1(adata.X.toarray()).sum(axis=1), 1e4, rtol=1e-4)
    np.testing.assert_array_equal(adata.layers["counts"].toarray(), screen.X.toarray())
    np.testing.assert_allclose(adata.varm["gene_context"], features, rtol=1e-6)
    assert adata.var["gene_name"].tolist() == GENES
    assert adata.obs["condition"].astype(str).tolist() == screen.obs["condition"].tolist()


def test_gears_form_needs_cell_types_and_all_features(screen: AnnData) -> None:
    features = planted()[1]
    with pytest.raises(ValueError, match=r"GEARS needs obs\['cell_type'\]"):
        to_gears(AnnData(screen.X, obs=screen.obs[["condition"]], var=screen.var), features)
    features[-1] = np.nan
    with pytest.raises(ValueError, match="'gene_context' are missing for 1 of the 60 genes .* 'gene59'"):
        to_gears(screen, features)


class MeasuringGears:
    """A module in the form of GEARS whose predictions are the true means of logarithms, on a scale of its own."""

    def __init__(self, truth: AnnData) -> None:
        self.truth, self.seen = truth, []

    def PertData(self, folder: str, *, default_pert_graph: bool) -> "MeasuringGears":
        assert not default_pert_graph
        self.gene2go = pickle.loads((Path(folder) / "gene2go_all.pkl").read_bytes())
        return self

    def new_data_process(self, name: str, adata: AnnData) -> None:
        self.adata = adata
        self.seen.append(set(adata.obs["condition"]))

    def prepare_split(self, **settings) -> None:
        pass

    def get_dataloader(self, batch_size: int) -> None:
        pass

    def GEARS(self, data: "MeasuringGears", device: str) -> "MeasuringGears":
        self.pert_list = sorted(self.gene2go)
        return self

    def model_initialize(self, G_go, G_go_weight) -> None:
        assert G_go.max() == N_GENES - 1 and G_go.shape[1] == len(G_go_weight) == N_GENES * 21

    def train(self, epochs: int) -> None:
        np.random.seed(epochs)

    def predict(self, sets: list[list[str]]) -> dict[str, np.ndarray]:
        names = ["+".join((*genes, "ctrl")[:2]) for genes in sets]
        assert not set(names) & self.seen[-1]
        condition = self.truth.obs["condition"].to_numpy()
        means = [np.asarray(self.truth.X[condition == name].mean(axis=0)).ravel() for name in names]
        return {"_".join(genes): mean for genes, mean in zip(sets, means, strict=True)}


def test_gears_sees_no_left_out_perturbation_and_is_scored_on_the_scale_of_the_study(
    screen: AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = screen.copy()
    truth.X = sparse.csr_matrix(log_normalize(screen.X))
    gears = MeasuringGears(truth)
    monkeypatch.setitem(sys.modules, "gears", gears)
    monkeypatch.setattr(gears_study, "find_spec", lambda name: object())
    state = np.random.get_state()[1].copy()
    table = perturbation_table({}, screen, gears=True)
    assert (np.random.get_state()[1] == state).all() and len(gears.seen) == 5
    scores = table[table["method"] == "GEARS"]
    assert len(scores) == (table["method"] == "mean").sum()
    assert (
        scores["pearson"].mean() > 0.95
        and scores["mse"].mean() < 0.1 * table.loc[table["method"] == "no change", "mse"].mean()
    )


def test_similar_genes_are_those_that_correlate_most(screen: AnnData) -> None:
    control = screen[screen.obs["condition"] == "ctrl"].copy()
    (source, target), weight = gears_study.similar_genes(control)
    r = np.abs(np.corrcoef(control.X.toarray().T))
    for gene in range(N_GENES):
        nearest = source[target == gene]
        assert gene in nearest and set(nearest) == set(np.argsort(-r[gene])[: gears_study.N_SIMILAR + 1])
    np.testing.assert_allclose(weight, r[source, target], rtol=1e-5)


def test_gears_that_is_not_installed_says_how_to_get_it(screen: AnnData, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(gears_study, "find_spec", lambda name: None)
    for call in (lambda: perturbation_table({}, screen, gears=True), lambda: run_perturbation(tmp_path, gears=True)):
        with pytest.raises(ModuleNotFoundError, match="pip install cell-gears torch-geometric"):
            call()


def test_simulated_screen_has_singles_and_doubles_without_their_genes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perturbation_run, "N_GENES", 30)
    monkeypatch.setattr(perturbation_run, "BACKBONE", "linear")  # of 12 transcription factors
    screen = simulate_screen(0, n_cells=4, n_doubles=3)
    names = screen.obs["condition"].value_counts()
    assert names["ctrl"] == 20
    assert (names.drop("ctrl") == 4).all()
    assert sum(name.endswith("+ctrl") for name in names.index) == 12
    assert len(names) == 1 + 12 + 3
    known = responses(screen)
    assert (known.perturbed.sum(axis=1) == [1 if name.endswith("+ctrl") else 2 for name in known.name]).all()
    for name, perturbed in zip(known.name, known.perturbed, strict=True):
        assert screen[screen.obs["condition"] == name].X[:, perturbed].sum() == 0


def test_command_writes_rows_and_tables(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(perturbation_run, "simulate_screen", lambda seed, n_cells: planted(seed)[0])
    table = run_perturbation(tmp_path, seeds=[0, 1])
    result = json.loads((tmp_path / "perturbation.json").read_text())
    pd.testing.assert_frame_equal(pd.DataFrame(result["rows"]), table)
    assert result["settings"]["seeds"] == [0, 1]
    text = (tmp_path / "perturbation.md").read_text()
    single = table[(table["method"] == "ridge, PCA loadings") & (table["setting"] == "single")]["mse"].mean()
    assert f"| ridge, PCA loadings | {single:.3f}\u00a0±" in text
    assert "(20 single, " in text


def test_loadings_tell_which_genes_vary_together() -> None:
    rng = np.random.default_rng(0)
    shared = np.exp(rng.normal(size=(500, 1)))
    rate = np.where(np.arange(20) < 10, shared, 1.0) * 50
    loadings = pca_loadings(AnnData(sparse.csr_matrix(rng.poisson(rate).astype(np.float32))))
    assert loadings.shape == (20, 10)
    assert np.sign(loadings[:10, 0]).std() == 0
    assert set(np.sign(loadings[:10, 0])) != set(np.sign(loadings[10:, 0]))
