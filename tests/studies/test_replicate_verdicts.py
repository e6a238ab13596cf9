import pytest

from scmoe.studies._statistics import FAILS, HOLDS, OPEN, mean_interval, verdict
from scmoe.studies.replicate._claims import claims

PAIR, OTHER, THIRD, ALL = ("pre", "rna"), ("rna", "protein"), ("dna", "rna"), ("dna", "pre", "rna", "protein")


def fit(
    method: str, modalities: tuple[str, ...], seed: int, ari: float, honest: float = 0.1, leaky: float = 0.2
) -> dict:
    V = len(modalities)
    matrices = {"honest": [[honest] * V] * V, "leaky": [[leaky] * V] * V}
    place = {"study": "fit", "source": "grn", "method": method, "modalities": list(modalities), "seed": seed}
    return place | {"folds": [{"ari": ari, **matrices}]}


def only(rows: list[dict], **wanted: str) -> dict:
    (row,) = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return row


@pytest.mark.parametrize(
    "sample, expected",
    [([0.1, 0.11, 0.12], HOLDS), ([-0.1, -0.11, -0.12], FAILS), ([0.1, -0.1, 0.05], OPEN), ([0.5], OPEN)],
)
def test_interval_decides(sample, expected):
    assert verdict(mean_interval(sample)[1]) == expected


def test_modalities_are_said_to_help_where_they_do():
    results = []
    for seed in range(5):
        for modalities in (PAIR, OTHER, THIRD, ALL):
            results.append(fit("reference", modalities, seed, 0.5 + 0.01 * seed + 0.2 * (modalities == ALL)))
            results.append(fit("scmoe", modalities, seed, 0.5 - 0.2 * (modalities == ALL)))
    rows = claims(results)
    row = only(rows, claim="More modalities help", form="reference")
    assert (row["verdict"], row["n_seeds"]) == (HOLDS, 5)
    assert row["difference"] == pytest.approx(0.2)
    assert only(rows, claim="More modalities help", form="scmoe")["verdict"] == FAILS


def test_dense_layer_is_compared_by_seed():
    noise = [0.0, 0.3, -0.2, 0.1, 0.25]
    results = [fit("reference", PAIR, seed, 0.5 + noise[seed]) for seed in range(5)]
    results += [fit("reference: dense, equal compute", PAIR, seed, 0.45 + noise[seed]) for seed in range(5)]
    row = only(claims(results), claim="Sparse experts beat a dense layer", score="ARI")
    assert row["verdict"] == HOLDS
    assert row["interval"] == pytest.approx([0.05, 0.05])


def test_method_that_is_better_is_named():
    results = [fit("reference", PAIR, seed, 0.3 + 0.01 * seed) for seed in range(5)]
    results += [fit("wnn", PAIR, seed, 0.5) for seed in range(5)]
    row = only(claims(results), claim="scMoE beats other methods", comparison="minus WNN", score="ARI")
    assert row["verdict"] == FAILS
    assert row["difference"] == pytest.approx(-0.18)


def test_r2_is_compared_with_the_paper_and_with_honest_r2():
    results = [
        fit("reference", modalities, seed, 0.3, 0.1, 0.2)
        for modalities in (PAIR, OTHER, THIRD, ALL)
        for seed in range(5)
    ]
    rows = claims(results)
    paper = only(rows, comparison="pre + rna: minus 0.41 of the paper")
    assert (paper["difference"], paper["verdict"]) == (pytest.approx(-0.21), FAILS)
    leak = only(rows, comparison="leaky minus honest")
    assert (leak["difference"], leak["verdict"]) == (pytest.approx(0.1), HOLDS)


def test_gradients_are_compared_by_seed_and_definition():
    rows = [
        {"model": model, "seed": seed, "definition": "target", "cosine": cosine + 0.01 * seed}
        for seed in range(5)
        for model, cosine in (("experts", 0.1), ("dense, equal compute", 0.3), ("dense, equal parameters", 0.1))
    ]
    results = [{"study": "conflict", "source": "grn", "method": "scmoe", "modalities": ALL, "rows": rows}]
    verdicts = claims(results)
    assert only(verdicts, comparison="experts minus dense, equal compute, gradients by target")["verdict"] == FAILS
    assert only(verdicts, comparison="experts minus dense, equal parameters, gradients by target")["verdict"] == OPEN
