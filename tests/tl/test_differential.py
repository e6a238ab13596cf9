"""Conditions with donors as replicates: what is refused, what is found, and that donors alone are not."""

import sys

import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import sparse

import scmoe


def donors(mdata: MuData, n: int = 6) -> MuData:
    """Cells dealt out to donors, every second of which is sick."""
    mdata.obs["donor"] = [f"d{i % n}" for i in range(mdata.n_obs)]
    mdata.obs["state"] = np.where(np.arange(mdata.n_obs) % n % 2, "sick", "well")
    return mdata


def table(mdata: MuData, **kwargs) -> pd.DataFrame:
    scmoe.tl.differential(mdata, **{"condition": "state", "sample_key": "donor", **kwargs})
    return mdata.uns["scmoe"]["differential"]


def test_without_the_library_the_message_says_what_to_install(paired: MuData, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pydeseq2", None)
    with pytest.raises(ImportError, match=r"pip install 'scmoe\[differential\]'"):
        table(donors(paired))


def test_one_donor_a_side_is_refused_unless_wanted(paired: MuData) -> None:
    donors(paired, 2)
    with pytest.raises(ValueError, match=r"2 samples or more.*has 1.*without_replicates=True"):
        table(paired)
    rows = table(paired, without_replicates=True, modality="rna", groupby="cell_type")
    assert rows["p_value"].isna().all() and rows["log_fold_change"].abs().max() > 0
    assert set(rows["group"].astype(str)) == {"B", "NK", "T"}


@pytest.mark.parametrize(
    ("change", "kwargs", "match"),
    [
        (lambda obs: obs.assign(donor="d0"), {}, r"one 'state'.*'d0'.*sick, well"),
        (lambda obs: obs.assign(state="well"), {}, "at least two values"),
        (lambda obs: obs, {"reference": "cured"}, "cured"),
        (lambda obs: obs.assign(state=np.nan), {}, "at least two values"),
        (lambda obs: obs.drop(columns="donor"), {}, "sample_key"),
        (lambda obs: obs, {"modality": "atac"}, "atac"),
    ],
)
def test_designs_that_cannot_be_compared(paired: MuData, change, kwargs: dict, match: str) -> None:
    paired.obs = change(donors(paired).obs)
    with pytest.raises((ValueError, KeyError), match=match):
        table(paired, without_replicates=True, **kwargs)


def test_values_without_counts_are_refused(mosaic: MuData) -> None:
    with pytest.raises(ValueError, match="no raw counts"):
        table(donors(mosaic), modality="ephys", without_replicates=True)


def test_known_differences_are_found_and_donors_are_not(raw: MuData) -> None:
    pytest.importorskip("pydeseq2")
    rng = np.random.default_rng(0)
    donors(raw)
    values = raw["rna"].X.toarray() + rng.poisson(2.0, raw["rna"].shape)  # as deep as sums of real cells are
    donor = raw.obs["donor"].loc[raw["rna"].obs_names].to_numpy()
    for name in np.unique(donor):  # each donor has an effect on every gene
        values[donor == name] = rng.poisson(values[donor == name] * rng.lognormal(0, 0.2, values.shape[1]))
    is_sick = (raw.obs["state"].loc[raw["rna"].obs_names] == "sick").to_numpy()
    values[np.ix_(is_sick, range(6))] = rng.poisson(values[np.ix_(is_sick, range(6))] * 3)
    raw["rna"].X = sparse.csr_matrix(values)
    scmoe.pp.prepare(raw)
    rows = table(raw, modality="rna", reference="well", groupby=None).set_index("feature")
    planted = [f"gene{i}" for i in range(6)]
    assert (rows.loc[planted, "p_adjusted"] < 0.05).all() and (rows.loc[planted, "log_fold_change"] > 0.8).all()
    assert (rows.drop(index=planted)["p_adjusted"] < 0.05).mean() <= 0.1
