"""Synergy of drugs: tables that are read, what is left out, the graph network, and the study on made-up tables."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from scmoe.cli import app
from scmoe.studies._run import single_thread
from scmoe.studies._statistics import mean_interval, resampled_interval
from scmoe.studies.synergy import _lines, _run
from scmoe.studies.synergy._data import EXPRESSION, LABELS, Screen, read_screen
from scmoe.studies.synergy._lines import COMPONENTS, NONE, OURS, RANDOM, Encoder, line_vectors
from scmoe.studies.synergy._molecules import Molecules, canonical_smiles, fingerprints, molecule_graphs
from scmoe.studies.synergy._network import SynergyNetwork, fit_network, make_rows, predict_network
from scmoe.studies.synergy._report import claims, difference_row
from scmoe.studies.synergy._run import run_synergy
from scmoe.studies.synergy._tasks import (
    DRUGS,
    LEFT_OUT,
    LINES,
    MODELS,
    N_FOLDS,
    NETWORK,
    PAIRS,
    TREES,
    Size,
    folds,
    perform,
    plan,
    predictors,
)

rdkit = pytest.mark.skipif(importlib.util.find_spec("rdkit") is None, reason="needs rdkit: scmoe[synergy]")
SMILES = ("CCO", "c1ccccc1", "CC(=O)O", "CCN", "CCCl", "OCC#N", "CSC", "C1CCCCC1")
CELLS = [f"line{i}" for i in range(7)]
TINY = Size(n_folds=2, n_trees=5, n_epochs=1)


def made_up(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All pairs in all lines; synergistic with one of the first four drugs in lines that express the first gene."""
    rng = np.random.default_rng(seed)
    expression = pd.DataFrame(rng.gamma(2, 10, (len(CELLS), 30)), CELLS, [f"ENSG{i}" for i in range(30)])
    expression.iloc[:, 0] = np.resize([500.0, 1.0], len(CELLS))
    rows = [
        (SMILES[i], SMILES[j], cell, int(i < 4 and expression.iloc[k, 0] > 9))
        for i in range(len(SMILES))
        for j in range(i + 1, len(SMILES))
        for k, cell in enumerate(CELLS)
    ]
    return pd.DataFrame(rows, columns=["drug1", "drug2", "cell", "label"]), expression


def write(folder: Path, labels: pd.DataFrame, expression: pd.DataFrame) -> Path:
    folder.mkdir(exist_ok=True)
    labels.to_csv(folder / LABELS, index=False)
    expression.to_csv(folder / EXPRESSION, index_label="gene_id")
    return folder


def random_screen(seed: int = 0) -> Screen:
    """Rows without structures."""
    rng = np.random.default_rng(seed)
    pairs = np.sort(np.array([rng.choice(8, 2, replace=False) for _ in range(200)]), axis=1)
    lines, labels = rng.integers(0, 7, 200), rng.integers(0, 2, 200)
    return Screen(SMILES, pairs, lines, labels, made_up()[1])


def random_molecules(sizes: tuple[int, ...] = (3, 5, 2, 4), seed: int = 0) -> Molecules:
    rng, n, largest = np.random.default_rng(seed), len(sizes), max(sizes)
    out = Molecules(
        np.zeros((n, largest, 6), np.float32),
        np.zeros((n, largest, largest), np.float32),
        np.zeros((n, largest), bool),
    )
    for i, size in enumerate(sizes):
        bonds = rng.uniform(size=(size, size)).astype(np.float32)
        out.atoms[i, :size], out.bonds[i, :size, :size] = rng.normal(size=(size, 6)), bonds + bonds.T
        out.mask[i, :size] = True
    return out


def no_embedding(seed: int) -> np.ndarray:
    raise AssertionError("not asked for")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "data", *made_up())


@pytest.mark.parametrize("left_out", LEFT_OUT)
def test_nothing_that_is_left_out_is_learned_from(left_out: str) -> None:
    screen = random_screen()
    members = {
        PAIRS: [{tuple(pair)} for pair in screen.pairs],
        DRUGS: [set(pair) for pair in screen.pairs],
        LINES: [{line} for line in screen.lines],
    }[left_out]
    tested = np.zeros(len(members), int)
    for test in folds(screen, left_out, 0):
        known = set.union(*(m for m, out in zip(members, test, strict=True) if not out))
        unseen = [m for m, out in zip(members, test, strict=True) if out]
        assert all(m - known for m in unseen)  # a pair is tested if one of its drugs is unseen
        if left_out != DRUGS:
            assert not known & set.union(*unseen)
        tested += test
    assert tested.min() == 1 and tested.max() == (2 if left_out == DRUGS else 1)


def test_folds_depend_on_the_seed_and_need_enough_members() -> None:
    screen = random_screen()
    first, again, other = (np.array(list(folds(screen, LINES, seed))) for seed in (0, 0, 1))
    assert (first == again).all() and (first != other).any()
    few = Screen(SMILES, screen.pairs, screen.lines % 4, screen.labels, screen.expression)
    with pytest.raises(ValueError, match="at least 5 cell lines, to leave some out; found 4"):
        folds(few, LINES, 0)


def test_convolution_is_the_sum_over_bonds_of_each_molecule_alone() -> None:
    molecules = random_molecules()
    network = SynergyNetwork(molecules, 0)
    expected = []
    for atoms, bonds, mask in zip(*molecules, strict=True):
        x = atoms[mask]
        for layer in network.convolutions:
            weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
            mixed = [sum(bonds[i, j] * x[j] for j in range(len(x))) for i in range(len(x))]
            x = np.maximum(np.array(mixed) @ weight.T + bias, 0)
        expected.append(x.max(axis=0))
    np.testing.assert_allclose(network.drugs().detach().numpy(), expected, rtol=2e-4, atol=1e-5)


def test_order_of_atoms_and_of_drugs_says_nothing() -> None:
    molecules, rng = random_molecules(sizes=(4, 4, 4)), np.random.default_rng(0)
    order = rng.permutation(4)
    turned = Molecules(molecules.atoms[:, order], molecules.bonds[:, order][:, :, order], molecules.mask[:, order])
    pairs, lines = rng.integers(0, 3, (20, 2)), rng.normal(size=(20, 5))
    network = SynergyNetwork(molecules, 5).eval()
    other = SynergyNetwork(turned, 5).eval()
    other.load_state_dict(network.state_dict() | {"atoms": other.atoms, "bonds": other.bonds})
    expected = predict_network(network, make_rows(pairs, lines))
    np.testing.assert_allclose(predict_network(other, make_rows(pairs, lines)), expected, atol=1e-5)
    np.testing.assert_array_equal(predict_network(network, make_rows(pairs[:, ::-1].copy(), lines)), expected)


def test_network_learns_what_lines_decide_and_repeats_with_its_seed() -> None:
    molecules, rng = random_molecules(), np.random.default_rng(0)
    pairs, lines = rng.integers(0, 4, (400, 2)), rng.normal(size=(400, 3))
    rows, labels = make_rows(pairs, lines), (lines[:, 0] > 0).astype(int)
    state = torch.get_rng_state()
    with single_thread():  # as the study runs: threads add up in any order
        logits, again = (predict_network(fit_network(molecules, rows, labels, 20, seed=0), rows) for _ in range(2))
    assert ((logits > 0) == labels).mean() > 0.9
    np.testing.assert_array_equal(logits, again)
    assert (torch.get_rng_state() == state).all()
    blind = predict_network(fit_network(molecules, make_rows(pairs, lines[:, :0]), labels, 20, seed=0), rows)
    assert ((blind > 0) == labels).mean() < 0.7


def test_representations_have_one_width_and_scale_and_none_has_no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    expression = made_up()[1]
    monkeypatch.setattr(_lines, "N_FEATURES", 4)
    vectors = line_vectors(expression, lambda seed: Encoder(None, 2).embed(expression, seed))
    made = {name: vectors(name, 0) for name in (NONE, RANDOM, COMPONENTS, OURS)}
    assert {name: x.shape[1] for name, x in made.items()} == {NONE: 0, RANDOM: 4, COMPONENTS: 4, OURS: 4}
    for name in (COMPONENTS, OURS):
        assert made[name].std() == pytest.approx(1)
        assert (np.diff(made[name].var(axis=0)) < 0).all()
    assert (vectors(RANDOM, 1) != made[RANDOM]).all()


def test_a_model_folder_takes_the_place_of_pretraining(tmp_path: Path) -> None:
    expression = made_up()[1]
    _lines.pretrained(_lines.profiles(expression), 2, 0).save(tmp_path / "model")
    own, loaded = Encoder(None, 2), Encoder(tmp_path / "model", 99)
    np.testing.assert_allclose(loaded.embed(expression, 1), own.embed(expression, 0), atol=1e-5)
    assert loaded.id not in (own.id, Encoder(None, 99).id)
    assert _run._model_folder(tmp_path) == tmp_path / "model"
    with pytest.raises(ValueError):
        _run._model_folder(tmp_path / "absent")


def test_intervals_of_folds_are_widened_by_the_share_that_they_test() -> None:
    values, ratio = [0.1, 0.3, 0.2, 0.25], 0.25
    mean, usual = mean_interval(values)
    assert resampled_interval(values, 0.0) == (mean, pytest.approx(usual))
    wide = resampled_interval(values, ratio)[1]
    spread = np.var(values, ddof=1)
    expected = np.sqrt((1 / 4 + ratio) * spread) / np.sqrt(spread / 4)
    assert (wide[1] - mean) / (usual[1] - mean) == pytest.approx(expected)
    assert resampled_interval([0.5], ratio) == (0.5, None)


def test_differences_are_paired_by_fold_and_skipped_tasks_have_no_claim() -> None:
    def result(representation: str, scores: list[float]) -> dict:
        rows = [{"auroc": x, "aupr": x, "n_test": 20, "n_train": 80} for x in scores]
        return {"left_out": PAIRS, "model": TREES, "representation": representation, "folds": rows}

    results = [result(NONE, [0.5, 0.9, 0.7]), result(COMPONENTS, [0.6, 1.0, 0.8])]
    row = difference_row(results[1]["folds"], results[0]["folds"])
    assert row["difference"] == pytest.approx(0.1) and row["verdict"] == "holds"
    assert [row["claim"] for row in claims(results)] == [f"{COMPONENTS} above {NONE}"]


def test_without_rdkit_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'scmoe\[synergy\]'"):
        run_synergy(tmp_path / "out", data=folder)


@rdkit
def test_ways_to_write_a_molecule_are_one() -> None:
    assert canonical_smiles(["OCC", "CCO", "C1CC", ""]) == {"OCC": "CCO", "CCO": "CCO", "C1CC": None, "": None}


@rdkit
def test_graphs_hold_the_atoms_and_bonds_of_each_drug() -> None:
    graphs = molecule_graphs(["CCO", "c1ccccc1", "C"])
    assert graphs.mask.sum(axis=1).tolist() == [3, 6, 1]
    np.testing.assert_array_equal(graphs.bonds[0, :3, :3] > 0, [[1, 1, 0], [1, 1, 1], [0, 1, 1]])
    assert graphs.bonds[0, 0, 1] == pytest.approx(1 / np.sqrt(2 * 3))
    assert not graphs.bonds[0, 3:].any() and not graphs.atoms[2, 1:].any()
    assert graphs.atoms[1, :6, -1].all() and not graphs.atoms[0, :, -1].any()
    assert (graphs.atoms[0, :3, :-1].sum(axis=1) == 4).all()


@rdkit
def test_fingerprints_tell_drugs_apart() -> None:
    bits = fingerprints(SMILES)
    assert len(np.unique(bits, axis=0)) == len(SMILES)
    assert ((bits == 0) | (bits == 1)).all() and (bits.std(axis=0) > 0).all()


@rdkit
def test_tables_are_read_whatever_the_order_of_drugs_and_the_way_they_are_written(folder: Path) -> None:
    labels, expression = made_up()
    first = read_screen(folder)
    turned = labels.rename(columns={"drug1": "drug2", "drug2": "drug1"}).replace("CCO", "OCC")
    head = pd.DataFrame([["ENST"] * 30], ["transcript_id"], expression.columns)
    other = write(folder.parent / "other", turned, pd.concat([head, expression.astype(str)]))
    second = read_screen(other)
    assert first.content == second.content and len(first.drugs) == len(SMILES)
    for row in (0, 50, 100):
        assert {first.drugs[i] for i in first.pairs[row]} == set(labels.loc[row, ["drug1", "drug2"]])
        assert first.expression.index[first.lines[row]] == labels["cell"][row]
    labels.loc[0, "label"] = 1 - labels["label"][0]
    assert read_screen(write(folder.parent / "third", labels, expression)).content != first.content


@rdkit
@pytest.mark.parametrize(
    ("table", "row", "column", "value", "match"),
    [
        (0, 3, "drug2", "CC(", r"column 'drug2' must parse.* 'CC\(' in row 5\. Correct"),
        (0, 0, "drug1", None, "column 'drug1' must parse.* '' in row 2"),
        (0, 1, "label", 2, "must be 1 .synergistic. or 0.* '2' in row 3"),
        (0, 1, "label", None, "must be 1 .synergistic. or 0.* nan in row 3"),
        (0, slice(2, 9), "cell", "HELA", "must have a row in .* 'HELA' in row 4, .* in row 6 and 5 more"),
        (
            1,
            "line2",
            "ENSG3",
            -1.0,
            "amounts from 0 on.* '-1.0' for the cell line 'line2' and the gene 'ENSG3'; 1 such",
        ),
        (1, "line2", "ENSG3", None, "amounts from 0 on.* nan for the cell line 'line2'"),
        (1, "line2", slice(None), 0.0, "all genes are 0 in the cell line 'line2'"),
    ],
)
def test_unusable_rows_are_named(tmp_path: Path, table: int, row, column, value, match: str) -> None:
    tables = [frame.astype(object) for frame in made_up()]
    tables[table].loc[row, column] = value
    with pytest.raises(ValueError, match=match):
        read_screen(write(tmp_path / "data", *tables))


@rdkit
def test_unusable_tables_are_refused(folder: Path) -> None:
    labels, expression = made_up()
    with pytest.raises(ValueError, match="'label' is absent"):
        read_screen(write(folder, labels.drop(columns="label"), expression))
    with pytest.raises(ValueError, match="it has none"):
        read_screen(write(folder, labels[:0], expression))
    with pytest.raises(ValueError, match="the cell line 'line0' has two rows"):
        read_screen(write(folder, labels, pd.concat([expression, expression[:1]])))
    (folder / EXPRESSION).unlink()
    with pytest.raises(FileNotFoundError, match=f"There is no file .*{EXPRESSION}"):
        read_screen(folder)


@rdkit
def test_trees_use_expression_and_structure(folder: Path) -> None:
    """A label that lines and drugs decide together."""
    screen = read_screen(folder)
    trees = predictors({"n_trees": 50}, 0)[TREES]
    test = next(iter(folds(screen, PAIRS, 0)))
    vectors = line_vectors(screen.expression, no_embedding)
    errors = {}
    for name in (COMPONENTS, NONE):
        errors[name] = ((trees(screen, vectors(name, 0), test) > 0.5) != screen.labels[test]).mean()
    assert errors[COMPONENTS] < 0.1 < 0.2 < errors[NONE]


@rdkit
def test_study_writes_all_and_goes_on_where_it_stopped(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_run, "QUICK", TINY)
    monkeypatch.setattr(_run, "N_PASSES_QUICK", 2)
    out = tmp_path / "out"
    command = ["benchmark", "synergy", str(folder), "-o", str(out), "--quick"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.stderr
    table = json.loads((out / "synergy.json").read_text())
    assert not table["skipped"]
    assert len(table["results"]) == len(LEFT_OUT) * len(MODELS) * 4
    assert all(len(row["folds"]) == TINY.n_folds < N_FOLDS for row in table["results"])
    assert {path.stem for path in (out / "tables").iterdir()} == {"scores", "verdicts", "setting"}
    assert "the expression of these 7 cell lines alone" in (out / "synergy.md").read_text()
    assert result.stdout.count(f"{OURS} above {NONE}; ") == 6
    times = {path: path.stat().st_mtime_ns for path in (out / "runs").iterdir()}
    monkeypatch.setattr(_run, "perform", None)
    trees = run_synergy(tmp_path / "out", data=folder, predictors=[TREES], quick=True)["results"]
    assert trees == [row for row in table["results"] if row["model"] == TREES]
    with pytest.raises(ValueError, match="predictors must be of boosted trees, graph network; found forest"):
        run_synergy(out, data=folder, predictors=["forest"], quick=True)
    assert run_synergy(out, data=folder, quick=True)["results"] == table["results"]
    assert {path: path.stat().st_mtime_ns for path in (out / "runs").iterdir()} == times


@rdkit
def test_folds_of_one_kind_of_label_are_skipped_with_the_reason(folder: Path, tmp_path: Path) -> None:
    screen = read_screen(folder)
    alike = Screen(screen.drugs, screen.pairs, screen.lines, np.ones_like(screen.labels), screen.expression)
    task = next(plan(alike.content, "", [0], MODELS, TINY))
    with pytest.raises(RuntimeError, match="fold 1 has .* both must have synergistic and other ones"):
        perform(task, alike, line_vectors(alike.expression, no_embedding))


@rdkit
def test_command_names_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    labels, expression = made_up()
    write(folder, labels.replace("CCN", "CCN("), expression)
    result = CliRunner().invoke(app, ["benchmark", "synergy", str(folder), "-o", str(tmp_path / "out")])
    assert result.exit_code == 1 and "'CCN(' in row" in result.stderr
    result = CliRunner().invoke(app, ["benchmark", "synergy", str(tmp_path / "none"), "-o", str(tmp_path / "out")])
    assert result.exit_code == 1 and "There is no file" in result.stderr


def test_only_our_embedding_depends_on_its_model() -> None:
    first, second = (
        {task.name: task.key for task in plan("data", encoder, [0], MODELS, TINY)} for encoder in ("a", "b")
    )
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {name for name in first if "xtrimogene" in name} != set()
    assert any(NETWORK.replace(" ", "_") in name for name in changed)
