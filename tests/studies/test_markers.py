"""The study of markers: what is known of its cells, and its counts of calls."""

import json

import numpy as np
import pytest
from scipy import sparse

from scmoe.studies.markers import _run
from scmoe.studies.markers._data import KEPT, SHALLOW, with_network, with_shuffled, with_thinned
from scmoe.studies.markers._report import markers_markdown
from scmoe.studies.markers._tasks import recall_at_fdr


def sums(known, name: str, group: str) -> np.ndarray:
    is_in = (known.mdata.obs[known.groupby] == group).to_numpy()
    return np.asarray(known.mdata[name].X[is_in].sum(0)).ravel() / is_in.sum()


def test_shuffled_features_keep_their_values() -> None:
    known = with_shuffled(0)
    from scmoe.datasets._bundled import bmmc_cite

    before = bmmc_cite()["rna"].X.toarray()
    after = known.mdata["rna"].X.toarray()
    is_null = known.mdata["rna"].var_names.isin(known.null["rna"])
    assert is_null.sum() == 200 and (before[:, ~is_null] == after[:, ~is_null]).all()
    assert (np.sort(before[:, is_null], 0) == np.sort(after[:, is_null], 0)).all()


def test_a_donor_that_differs_has_fewer_molecules_of_some_features() -> None:
    known = with_shuffled(0, donor_effect=True)
    batch = known.mdata.obs["batch"].to_numpy()
    is_null = known.mdata["rna"].var_names.isin(known.null["rna"])
    means = [np.asarray(known.mdata["rna"].X[batch == b].mean(0)).ravel()[is_null] for b in np.unique(batch)]
    assert np.std(np.log((means[0] + 0.05) / (means[1] + 0.05))) > 0.3
    shares = known.mdata.obs.groupby("cell_type", observed=True)["batch"].value_counts(normalize=True).unstack()
    assert shares.fillna(0).to_numpy().max(1).mean() > 0.75


def test_thinned_features_are_those_that_are_named() -> None:
    known = with_thinned("even", 0)
    ratio = np.log2((sums(known, "adt", "b") + 0.1) / (sums(known, "adt", "a") + 0.1))
    is_changed = ~known.mdata["adt"].var_names.isin(known.null["adt"])
    assert np.abs(ratio[is_changed]).mean() > 0.7 * -np.log2(KEPT) > 2 * np.abs(ratio[~is_changed]).mean()
    shallow = with_thinned("shallow", 0)
    assert sums(shallow, "rna", "b").sum() / sums(shallow, "rna", "a").sum() == pytest.approx(SHALLOW, rel=0.15)


def test_simulated_genes_that_are_shuffled_differ_nowhere() -> None:
    known = with_network(0, 200)
    assert len(known.changed) and sparse.issparse(known.mdata["rna"].X)
    assert not {feature for name, _, feature in known.changed if name == "rna"} & known.null["rna"]


def test_power_is_at_a_twentieth_of_false_calls() -> None:
    p = np.r_[np.linspace(0.001, 0.01, 20), 0.011, 0.02, 0.03]
    is_true = np.r_[np.ones(20, bool), False, True, False]
    assert recall_at_fdr(p, is_true, ~is_true, 25)["power"] == 21 / 25
    assert recall_at_fdr(p, ~is_true, is_true, 2)["power"] == 0
    # What is neither known to differ nor known not to is not looked at.
    assert recall_at_fdr(np.r_[0.0, p], np.r_[False, is_true], np.r_[False, ~is_true], 25)["power"] == 21 / 25


def test_tasks_become_tables(tmp_path, monkeypatch) -> None:
    def rows(part: str) -> list[dict]:
        error = {"method": "ours", "groups": part, "batch": True, "modality": "rna", "shuffled": 0.01, "others": 0.3}
        if part in ("shuffled", "donors"):
            return [error, {**error, "modality": "adt"}]
        if part == "permuted":
            return [{"modality": "rna", "batch": False, "share": 0.05, "sd": 0.001, "n_draws": 3}]
        if part == "time":
            return [{"method": name, "seconds": n} for name, n in (("ours", 3.0), ("theirs", 4.0))]
        setting, method = part.removeprefix("totalvi-"), "totalVI" if part.startswith("totalvi") else "ours"
        return [{"setting": setting, "method": method, "power": 0.5, "found": 0.6, "false": 0.04}]

    monkeypatch.setattr(_run, "perform", lambda task: {"rows": rows(task.part)})
    result = _run.run_markers(tmp_path, seeds=[0, 1])
    text = (tmp_path / "markers.md").read_text()
    assert text == markers_markdown(result) and json.loads((tmp_path / "markers.json").read_text()) == result
    assert "1.0 % (1.0 %)" in text and "0.050 ± 0.001" in text and "0.500 (0.60, 4.0 %)" in text and "0.75" in text
