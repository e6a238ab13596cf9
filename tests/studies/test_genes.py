import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from scipy import sparse
from sklearn.metrics import silhouette_score
from typer.testing import CliRunner

import scmoe.studies.genes._data as genes_data
import scmoe.studies.genes._run as genes_run
import scmoe.studies.genes._tasks as genes_tasks
from scmoe.benchmark._scores import kmeans_partitions, kmeans_scores
from scmoe.cli import app
from scmoe.datasets._write import write
from scmoe.studies.genes._claims import claims
from scmoe.studies.genes._data import (
    LABEL,
    cell_folds,
    labels_of,
    log_values,
    share_for,
    source_of,
    sweep_split,
    thinned,
)
from scmoe.studies.genes._masked import (
    EXPRESSED_MEAN,
    MASKED_MEAN,
    MEAN,
    POLICY,
    RIDGE,
    fit_references,
    mask,
    predict,
    scores,
)
from scmoe.studies.genes._plan import (
    BASE,
    BASELINES,
    DEPTH,
    FOLDS,
    HELD_OUT,
    QUICK,
    SCREEN,
    STUDIES,
    SWEEP,
    VALUES,
    VARIANTS,
    Task,
    Variant,
    plan,
)
from scmoe.studies.genes._probe import aligned_values, pretrained, untrained
from scmoe.studies.genes._run import run_genes
from scmoe.studies.genes._sparsity import hide_again
from scmoe.studies.genes._tasks import PCA, perform

N_CELLS, N_GENES = 120, 40
TINY = replace(
    QUICK, n_train=80, n_test=40, n_genes=30, n_steps=1, n_cells=100, n_long_steps=1, tuning_epochs=1, zeros=(0.9,)
)


def make_cells() -> MuData:
    """Three types, each with genes of its own, and three cells of a type too rare to be used."""
    rng = np.random.default_rng(0)
    kind = np.arange(N_CELLS) % 3
    rate = np.where(np.arange(N_GENES) % 3 == kind[:, None], 3.0, 0.3)
    counts = rng.poisson(rate).astype(np.float32)
    names = [f"cell{i}" for i in range(N_CELLS)]
    genes = [f"gene{i}" for i in range(N_GENES)]
    rna = AnnData(sparse.csr_matrix(counts), obs=pd.DataFrame(index=names), var=pd.DataFrame(index=genes))
    mdata = MuData({"rna": rna})
    label = np.array(["B", "NK", "T"], object)[kind]
    label[:3], label[3:6] = "rare", None
    mdata.obs["cell_type"] = pd.Categorical(label)
    return mdata


@pytest.fixture
def source() -> genes_data.Source:
    return source_of(make_cells(), "cell_type", "own")


@pytest.fixture
def small(monkeypatch) -> None:
    """Small bundled cells, a small screen and few steps."""
    monkeypatch.setattr(genes_data, "bmmc_cite", make_cells)
    monkeypatch.setattr(genes_run, "QUICK", TINY)
    monkeypatch.setattr(genes_tasks, "simulate_screen", make_screen)


def make_screen(seed: int, *, n_cells: int) -> AnnData:
    genes = [f"gene{i}" for i in range(24)]
    conditions = ["ctrl"] * 10 + [f"gene{i}+ctrl" for i in range(6)] + ["gene0+gene1", "gene2+gene3"]
    condition = np.repeat(conditions, 4)
    counts = np.random.default_rng(seed).poisson(2.0, (len(condition), len(genes)))
    obs = pd.DataFrame({"condition": condition}, index=[str(i) for i in range(len(condition))])
    return AnnData(sparse.csr_matrix(counts.astype(np.float32)), obs=obs, var=pd.DataFrame(index=genes))


def test_rare_and_missing_labels_are_left_out(source):
    known, label = labels_of(source.adata)
    assert len(known) == N_CELLS - 6
    assert set(label) == {"B", "NK", "T"}


def test_studies_share_tasks_and_every_seed_is_complete(source):
    tasks = list(plan([source], STUDIES, (0, 1), TINY))
    assert len({task.name for task in tasks}) == len(tasks)
    assert {task.variant for task in tasks if task.kind == SWEEP and task.seed == 1} == set(VARIANTS)
    assert [task.seed for task in tasks] == sorted(task.seed for task in tasks)
    only = [task.variant for task in plan([source], [VALUES], (0,), TINY) if task.kind == SWEEP]
    assert only == [BASE, "linear", "round", "up", "equal", "classes"]


def test_training_and_test_cells_are_apart_and_genes_are_of_the_training_cells(source):
    train, test = sweep_split(source.adata, 60, 30, 20, seed=1)
    assert not set(train.obs_names) & set(test.obs_names)
    assert train.shape == (60, 20)
    changed = source.adata.copy()
    dense = changed.X.toarray()
    dense[changed.obs_names.isin(test.obs_names)] = 7
    changed.X = sparse.csr_matrix(dense)
    assert list(sweep_split(changed, 60, 30, 20, seed=1).train.var_names) == list(train.var_names)


def test_folds_spread_labels_evenly(source):
    fold = cell_folds(source.adata, 5, seed=0)
    counts = pd.crosstab(source.adata.obs[LABEL].fillna(""), fold)
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()


@pytest.mark.parametrize("zeros", [0.7, 0.9, 0.97])
def test_thinning_reaches_the_share_of_zeros(source, zeros):
    adata = source.adata
    share = share_for(adata, zeros)
    shares = [1 - thinned(adata, share, seed).X.nnz / N_CELLS / N_GENES for seed in range(20)]
    assert np.mean(shares) == pytest.approx(zeros, abs=0.01)


def test_masked_genes_are_predicted_from_visible_ones_alone(source):
    """As `impute` does for one cell, which hides the genes that it is asked for."""
    model = pretrained(source.adata, 1, 0)
    masked = mask(source.adata, seed=3)
    predicted = predict(model, masked)
    for cell in (0, 7, 50):
        own = masked.row == cell
        names = source.adata.var_names[masked.gene[own]]
        expected = model.impute(list(names), source.adata, [cell]).to_numpy()[0]
        np.testing.assert_allclose(predicted[own], expected, atol=1e-4)


def test_means_are_those_of_training_cells(source):
    dense = log_values(source.adata).toarray()
    masked, predictors = mask(source.adata, seed=0), fit_references(source.adata, seed=0)
    gene = masked.gene[:5]
    np.testing.assert_allclose(predictors[MEAN](masked)[:5], dense.mean(0)[gene], rtol=1e-5)
    np.testing.assert_allclose(
        predictors[EXPRESSED_MEAN](masked)[:5], (dense.sum(0) / (dense > 0).sum(0))[gene], rtol=1e-5
    )
    weight = np.where(dense > 0, POLICY.nonzero_rate, POLICY.zero_rate)
    np.testing.assert_allclose(
        predictors[MASKED_MEAN](masked)[:5], ((weight * dense).sum(0) / weight.sum(0))[gene], rtol=1e-4
    )


def test_ridge_learns_types_of_cells():
    """Where genes depend on the type alone, the ridge regression predicts held-out cells better than their means."""
    adata = source_of(make_cells(), "cell_type", "own").adata
    train, test = adata[::2].copy(), adata[1::2].copy()
    masked, predictors = mask(test, seed=0), fit_references(train, seed=0)
    assert (
        scores(masked, predictors[RIDGE](masked))["mse"] < 0.9 * scores(masked, predictors[MASKED_MEAN](masked))["mse"]
    )


def test_the_same_genes_are_hidden_in_thinned_cells(source):
    whole, cells = mask(source.adata, seed=0), thinned(source.adata, 0.5, 0)
    masked, values = hide_again(whole, cells)
    counts = cells.X.toarray()
    expected = counts.copy()
    expected[whole.row, whole.gene] = 0
    np.testing.assert_array_equal(masked.visible.counts.toarray(), expected)
    np.testing.assert_allclose(values, log_values(cells).toarray()[whole.row, whole.gene], rtol=1e-5)


def test_genes_that_test_cells_lack_count_as_in_training(source):
    adata = source.adata
    values = aligned_values(adata[:4, 10:].copy(), adata)
    np.testing.assert_allclose(values[:, :10], np.tile(log_values(adata)[:, :10].mean(0), (4, 1)), rtol=1e-5)


def test_untrained_model_is_where_training_starts(source):
    """A training whose learning rate is next to nothing ends there."""
    barely = pretrained(source.adata, 1, 0, Variant(training={"lr": 1e-12}))
    embedding = untrained(source.adata, 0).get_latent_representation(source.adata)
    np.testing.assert_allclose(np.abs(embedding), np.abs(barely.get_latent_representation()), atol=1e-3)


def entropy(codes):
    share = np.unique(codes, return_counts=True)[1] / len(codes)
    return -(share * np.log(share)).sum()


def test_scores_of_clusters_are_of_the_same_partitions():
    rng = np.random.default_rng(0)
    label = np.repeat(list("abc"), [40, 30, 20])
    points = rng.normal(size=(90, 4)) + 2 * (label == "a")[:, None] * [1, 0, 0, 0]
    cells = AnnData(points, obs=pd.DataFrame({LABEL: label}, index=[f"cell {i}" for i in range(90)]))
    result = genes_tasks.cluster_scores(points, cells, 0)
    scored = []
    for clusters in kmeans_partitions(points, 3):
        joint = entropy(pd.Series(label) + clusters.astype(str))
        information = entropy(label) + entropy(clusters) - joint
        scored.append([information / entropy(label), information / entropy(clusters)])
    homogeneity, completeness = np.mean(scored, axis=0)
    assert result["homogeneity"] == pytest.approx(homogeneity)
    assert result["completeness"] == pytest.approx(completeness)
    same = kmeans_scores(points, pd.Series(label))
    assert (result["kmeans_ari"], result["nmi"]) == pytest.approx((same["ari"], same["nmi"]))
    silhouettes = [silhouette_score(points, clusters) for clusters in kmeans_partitions(points, 3)]
    assert result["silhouette"] == pytest.approx(np.mean(silhouettes))


@pytest.mark.parametrize(
    ("kind", "variant", "parts"),
    [
        (HELD_OUT, BASE, {"masked", "labels", "history"}),
        (FOLDS, BASE, {"all", "tuned", "clusters"}),
        (BASELINES, BASE, {"masked", "labels", "sparsity", "sensitivity"}),
        (SWEEP, BASE, {"masked", "labels", "clusters", "sparsity", "sensitivity"}),
        (SWEEP, DEPTH, {"masked", "sparsity", "sensitivity"}),
        (SWEEP, "rank", {"masked", "sensitivity"}),
        (SWEEP, "classes", {"masked", "labels"}),
        (SWEEP, "8 experts", {"masked", "labels"}),
        (SCREEN, BASE, {"rows"}),
    ],
)
def test_tasks_give_finite_numbers(kind, variant, parts, source, small):
    task = Task(kind=kind, source="" if kind == SCREEN else "own", variant=variant, seed=0, size=TINY)
    result = perform(task, {"own": source})
    assert parts <= result.keys()
    numbers = [x for x in _leaves(result) if isinstance(x, int | float)]
    assert np.isfinite(numbers).all()


def _leaves(value):
    if isinstance(value, dict | list):
        return [leaf for item in (value.values() if isinstance(value, dict) else value) for leaf in _leaves(item)]
    return [value]


def test_results_are_kept_and_reported(small, tmp_path, monkeypatch):
    write(make_cells(), tmp_path / "own.h5mu")
    done: list[str] = []

    def counted(task, sources):
        done.append(task.name)
        return perform(task, sources)

    monkeypatch.setattr(genes_run, "perform", counted)
    options = {"studies": ["pretraining", "sparsity"], "seeds": [0], "quick": True}
    first = run_genes(tmp_path / "out", data=tmp_path / "own.h5mu", labels="cell_type", **options)
    n_done = len(done)
    assert run_genes(tmp_path / "out", data=tmp_path / "own.h5mu", labels="cell_type", **options) == first
    assert len(done) == n_done
    (tmp_path / "out" / "runs" / "baselines-own-seed0.json").write_text('{"key"')
    run_genes(tmp_path / "out", data=tmp_path / "own.h5mu", labels="cell_type", **options)
    assert done[n_done:] == ["baselines-own-seed0"]
    text = (tmp_path / "out" / "genes.md").read_text(encoding="utf-8")
    assert "| model | visible genes; which are masked |" in text
    assert "own: 120 cells, 40 genes" in text
    assert {path.name for path in (tmp_path / "out" / "figures").iterdir()} >= {
        "genes_pretraining.png",
        "genes_sparsity.png",
    }


def test_verdicts_are_paired_over_seeds():
    """Seed 2 has one of the two results, and takes no part."""
    results = [
        {
            "kind": SWEEP,
            "source": "own",
            "variant": variant,
            "seed": seed,
            "labels": {genes_tasks.PRETRAINED: {"macro_f1": f1}},
        }
        for variant, scores in ((BASE, (0.8, 0.9, 0.1)), ("linear", (0.7, 0.79)))
        for seed, f1 in enumerate(scores)
    ]
    (row,) = claims(results)
    assert row["difference"] == pytest.approx(0.105)
    assert row["n_seeds"] == 2
    assert row["verdict"] == "holds"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"studies": ["value"]}, "no study 'value'"),
        ({"studies": []}, "at least one"),
        ({"seeds": []}, "at least one"),
        ({"seeds": [1, 1]}, "Seed 1 is given twice"),
        ({"data": "x.h5mu"}, "belong together"),
    ],
)
def test_impossible_requests_are_refused(arguments, match, tmp_path):
    with pytest.raises(ValueError, match=match):
        run_genes(tmp_path, **arguments)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (lambda m: MuData({"adt": m["rna"]}), ValueError, '"rna"; found adt'),
        (lambda m: m, KeyError, "'typo' is not a column"),
    ],
)
def test_unusable_data_are_refused(change, error, match):
    with pytest.raises(error, match=match):
        source_of(change(make_cells()), "typo", "own")


def test_command_reports_an_unknown_study(tmp_path):
    done = CliRunner().invoke(app, ["benchmark", "genes", "--study", "typo", "-o", str(tmp_path)])
    assert done.exit_code != 0
    assert "no study 'typo'" in done.output


def test_results_survive_json(source, small):
    result = perform(Task(kind=BASELINES, source="own", seed=0, size=TINY), {"own": source})
    assert json.loads(json.dumps(result))["labels"][PCA] == result["labels"][PCA]
