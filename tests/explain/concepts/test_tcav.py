import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from scmoe.explain import concept_test
from scmoe.explain.concepts._cav import fit_cav, fit_rotation
from scmoe.explain.concepts._tcav import draw_sets, effect, permuted_effects, run_test, scores, set_size

N, F, N_CELLS = 60, 20, 40
E0, E1 = np.eye(F)[:2]


def cells(rng, n, along=None):
    return rng.normal(size=(n, F)) + (0 if along is None else 3 * along)


def gradients(rng, along):
    """Of a target that depends on one direction, and in each cell a little on all others."""
    return along + 0.05 * rng.normal(size=(N_CELLS, F))


@pytest.fixture
def planted():
    """A concept along the first axis, with targets that increase along it, decrease along it, or look elsewhere."""
    rng = np.random.default_rng(0)
    aims = {"up": E0, "down": -E0, "elsewhere": E1}
    return cells(rng, N, E0), cells(rng, 5 * N), {name: gradients(rng, aim) for name, aim in aims.items()}


def test_finds_what_drives_a_target_and_nothing_else(planted):
    table = concept_test(*planted, n_permutations=499).set_index("target")
    assert (table["p"][["up", "down"]] < 0.01).all() and table.loc["elsewhere", "p"] > 0.1
    assert table["score"][["up", "down"]].tolist() == [1, 0]
    assert table.loc["up", "derivative"] > 0.8 and table.loc["down", "derivative"] < -0.8
    assert (table["cav_accuracy"] > 0.9).all() and (table["cav_accuracy_p"] < 0.001).all()


def test_a_row_is_what_its_equations_say(planted):
    positives, pool, grads = planted
    row = concept_test(positives, pool, {"up": grads["up"]}, n_random=3, n_permutations=9).iloc[0]
    # With a pool of three times the concept, random sets are its thirds; the same cells make the same directions.
    sets = draw_sets(positives, pool, 3, seed=0)
    assert {len(random) for _, random in sets} == {N}
    shares = [(grads["up"] @ fit_cav(*pair) > 0).mean() for pair in sets]
    assert row["score"] == pytest.approx(np.mean(shares), abs=0.05)
    assert (row["n_concept"], row["n_pool"], row["n_random"], row["n_cells"]) == (N, 5 * N, 3, N_CELLS)


@pytest.mark.parametrize("shift", [0, 3], ids=["random cells", "cells that differ, but in nothing that matters"])
def test_null_concepts_are_rarely_found(shift):
    """Of concepts that have nothing to do with a target, one in twenty has a p-value of 0.05."""
    aim = {"target": gradients(np.random.default_rng(0), E0)}
    p = np.empty(400)
    for seed in range(400):
        rng = np.random.default_rng(seed)
        x, direction = cells(rng, 90), rng.normal(size=F)
        x[:30] += shift * direction / np.linalg.norm(direction)
        p[seed] = concept_test(x[:30], x[30:], aim, n_random=2, n_permutations=99, seed=seed)["p"].iloc[0]
    found = int((p <= 0.05).sum())
    interval = binomtest(found, len(p)).proportion_ci()
    assert found / len(p) <= 0.07, f"{found} of {len(p)}, 95 % interval {interval.low:.3f} to {interval.high:.3f}"
    assert np.mean(p) == pytest.approx(0.5, abs=0.06)


def test_permutations_against_refits_of_shuffled_labels(planted):
    """The closed form on components is the ridge solution in the original space, for shuffled labels as for the true
    ones."""
    positives, pool, grads = planted
    gradient = grads["elsewhere"]
    observed = effect(positives, pool[:N], gradient)
    x = np.concatenate([positives, pool[:N]])
    x = (x - x.mean(0)) / np.sqrt(np.square(x - x.mean(0)).sum(1).mean())
    ridge = np.linalg.solve(x.T @ x / 8 + np.eye(F), x[:N].sum(0))
    expected = abs(ridge @ gradient.mean(0)) / np.linalg.norm(ridge) / np.linalg.norm(gradient, axis=1).mean()
    assert observed == pytest.approx(expected)


def test_both_forms_of_the_statistic_agree(planted):
    positives, pool, grads = planted
    rotation = fit_rotation(np.concatenate([positives, pool[: 2 * N]]))
    p, q = rotation(positives), rotation(pool[: 2 * N])
    aim = grads["up"].mean(0) @ rotation.axes / np.linalg.norm(grads["up"], axis=1).mean()
    assert set_size(p, q) == N
    both = permuted_effects(p, q, aim[None], n_permutations=5, seed=0)
    assert both.shape == (6, 1)
    assert both[0, 0] == pytest.approx(effect(positives, pool[: 2 * N], grads["up"]), rel=0.02)
    assert (both[1:] < both[0]).all()


def test_targets_do_not_depend_on_each_other(planted):
    positives, pool, grads = planted
    together = concept_test(positives, pool, grads, n_permutations=99)
    alone = pd.concat([concept_test(positives, pool, {k: v}, n_permutations=99) for k, v in grads.items()])
    pd.testing.assert_frame_equal(together, alone.reset_index(drop=True))


def test_same_seed_same_table_other_seed_other_sets(planted):
    first, again = (concept_test(*planted, n_permutations=99, seed=1) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert (concept_test(*planted, n_permutations=99, seed=2)["cav_cosine"] != first["cav_cosine"]).all()


def test_the_direction_is_stable_if_the_concept_is(planted):
    positives, pool, grads = planted
    noise = concept_test(pool[:N], pool[N:], grads, n_permutations=9)
    assert noise["cav_cosine"][0] < 0.7 < concept_test(positives, pool, grads, n_permutations=9)["cav_cosine"][0]


def test_direction_of_the_whole_test_has_length_one(planted):
    tested = run_test(*planted, n_random=5, n_permutations=9, seed=0)
    assert np.linalg.norm(tested.cav) == pytest.approx(1)
    assert tested.cav @ E0 > 0.9


def test_random_sets_are_disjoint_if_the_pool_allows():
    positives, pool = np.arange(30.0)[:, None], np.arange(90.0)[:, None]
    drawn = np.concatenate([random for _, random in draw_sets(positives, pool, 3, seed=0)])
    assert len(np.unique(drawn)) == 90
    halves = draw_sets(positives, pool[:40], 3, seed=0)
    assert [len(np.unique(random)) for _, random in halves] == [20, 20, 20]
    assert [len(np.unique(concept)) for concept, _ in halves] == [20, 20, 20]


def test_few_cells_of_a_target_give_derivatives_but_no_p_value(planted):
    positives, pool, grads = planted
    row = concept_test(positives, pool, {"rare": grads["up"][:2]}, n_permutations=99).iloc[0]
    assert row["p"] == row["p_ttest"] == 1
    assert row["score"] == 1 and row["derivative"] > 0.8
    assert row["note"].startswith("2 cells are too few for a p-value; derivatives 0.")


def test_scores_without_variance_have_no_t_test(planted):
    positives, pool, grads = planted
    table = concept_test(positives, pool, grads, n_permutations=9)
    assert table["p_ttest"].between(0, 1).all() and table.drop(columns="note").notna().all().all()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"positives": np.ones((29, F))}, "at least 30 cells.*found 29 and 300"),
        ({"pool": np.ones((20, F))}, "found 60 and 20"),
        ({"pool": np.ones((80, 3))}, "'pool' must be cells x 20 features; found the shape"),
        ({"gradients": {}}, "at least one target"),
        ({"gradients": {"B": np.ones((10, 3))}}, "'B' must be cells x 20"),
        ({"gradients": {"B": np.full((10, F), np.nan)}}, "'B' must hold finite numbers"),
        ({"gradients": {"B": np.zeros((10, F))}}, "'B' does not depend on this layer.*earlier layer"),
        ({"gradients": {"B": np.tile(E0, (10, 1)) * np.arange(1, 11)[:, None]}}, "'B' has the same gradient in all 10"),
        ({"n_random": 1}, "2 random sets"),
        ({"n_permutations": 0}, "n_permutations must .* found 0"),
    ],
)
def test_what_cannot_be_tested_is_refused(planted, change, match):
    arguments = dict(zip(("positives", "pool", "gradients"), planted, strict=True)) | change
    with pytest.raises(ValueError, match=match):
        concept_test(**arguments)


def test_agrees_with_captum(tmp_path):
    """Of the same direction, captum counts the same signs and finds the same mean derivative."""
    concept = pytest.importorskip("captum.concept")
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, F), torch.nn.Tanh(), torch.nn.Linear(F, 3))
    inputs = torch.from_numpy(3 * rng.normal(size=(N_CELLS, 5)).astype(np.float32))
    examples = {"concept": inputs + 1, "random": inputs.flip(0) - 0.5}
    activations = {name: model[0](x).detach().numpy() for name, x in examples.items()}
    cav = fit_cav(activations["concept"], activations["random"])

    class Ours(concept.Classifier):
        def __init__(self):
            pass

        def train_and_eval(self, dataloader, **kwargs):
            return {}

        def weights(self):
            return torch.from_numpy(np.stack([cav, -cav]).astype(np.float32))

        def classes(self):
            return [0, 1]

    concepts = [concept.Concept(i, name, [x]) for i, (name, x) in enumerate(examples.items())]
    theirs = concept.TCAV(model, ["0"], classifier=Ours(), save_path=str(tmp_path))
    shares = []
    for target in range(3):
        found = theirs.interpret(inputs, [concepts], target=target)["0-1"]["0"]
        hidden = model[0](inputs).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(model[1:](hidden)[:, target].sum(), hidden)
        length = float(np.linalg.norm(gradient, axis=1).mean())
        ours = scores(gradient.numpy().astype(np.float64), np.stack([cav, cav]), np.stack([cav, -cav]), length)
        assert float(found["sign_count"][0]) == pytest.approx(ours["score"])
        assert float(found["magnitude"][0]) == pytest.approx(ours["derivative"] * length, rel=1e-4)
        shares.append(ours["score"])
    assert any(0 < share < 1 for share in shares)
