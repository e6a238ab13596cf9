"""Pairing of cells by name: it is said, other spellings are found, and the wrong cells are not paired."""

import re
from collections.abc import Sequence

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scmoe._check import check_mdata
from scmoe._log import logger
from scmoe.datasets._pairing import describe_pairing, summarize
from scmoe.io._quiet import quiet_mudata

BARCODES = [f"AAAC{i:04d}" for i in range(40)]


def modality(cells: Sequence[str], prefix: str = "g", **obs: Sequence[str]) -> ad.AnnData:
    features = pd.DataFrame(index=[f"{prefix}{i}" for i in range(3)])
    return ad.AnnData(np.ones((len(cells), 3), np.float32), obs=pd.DataFrame(obs, index=list(cells)), var=features)


def join(**mods: ad.AnnData) -> mudata.MuData:
    with quiet_mudata():
        return mudata.MuData(mods)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logger, "propagate", True)
    return caplog


@pytest.mark.parametrize("is_sorted", [True, False])
def test_a_table_of_cells_in_another_order_is_warned_of(log, is_sorted: bool) -> None:
    """Which mudata neither aligns nor refuses; the remedy in the message mends it."""
    mdata = join(rna=modality(BARCODES), adt=modality(BARCODES[5:], "p"))
    assert list(mdata.obs_names) == BARCODES
    order = BARCODES if is_sorted else BARCODES[::-1]
    mdata.obs = pd.DataFrame({"place": range(len(BARCODES))}, index=BARCODES).loc[order]
    describe_pairing(mdata)
    assert ("replaced by a table in another order" in log.text) is not is_sorted
    if is_sorted:
        return
    scope = {"mdata": mdata, "mudata": mudata}
    with quiet_mudata():
        exec(log.messages[0].split("choose cells: ")[1], scope)
    mended = scope["mdata"]
    assert (mended.obs["place"].to_numpy() == [BARCODES.index(cell) for cell in mended.obs_names]).all()
    part = mended[mended.obs_names[7:9]]
    assert list(part["rna"].obs_names) == list(part["adt"].obs_names) == list(part.obs_names)
    log.clear()
    describe_pairing(mended)
    assert "another order" not in log.text


def test_how_many_cells_have_which_modalities(log) -> None:
    mdata = join(rna=modality(BARCODES), adt=modality(BARCODES[:30], "p"), atac=modality(BARCODES[5:25], "c"))
    describe_pairing(mdata)
    assert "40 cells: 20 with rna, adt and atac, 10 with rna and adt, 10 with rna only" in log.text
    describe_pairing(mdata, ["rna", "adt"])
    assert "40 cells: 30 with rna and adt, 10 with rna only" in log.text
    assert "WARNING" not in log.text


def test_of_one_modality_there_is_nothing_to_say(log) -> None:
    describe_pairing(join(rna=modality(BARCODES)))
    assert not log.records


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_the_groups_hold_all_cells(rows) -> None:
    text = summarize(["a", "b", "c"], np.array(rows))
    numbers = list(map(int, re.findall(r"(\d+) (?:cells|with)", text)))
    groups = {row: rows.count(row) for row in rows}
    assert numbers[0] == len(rows) and numbers[1] == max(groups.values())
    if len(groups) <= 5:
        assert sum(numbers[1:]) == len(rows)
    else:
        assert f"{len(groups) - 5} other combinations" in text


SPELLINGS = {
    "10x": (lambda c: f"{c}-1", lambda c: c),
    "10x wells": (lambda c: f"{c}-{BARCODES.index(c) % 3}", lambda c: c),
    "modality after": (lambda c: f"{c}_rna", lambda c: f"{c}_ADT"),
    "modality before": (lambda c: f"rna:{c}", lambda c: c),
    "ArchR": (lambda c: f"sample1#{c}-1", lambda c: f"{c}-1"),
    "several samples of ArchR": (lambda c: f"s{BARCODES.index(c) % 2}#{c}-1", lambda c: c),
    "velocyto": (lambda c: f"run_1:{c}x", lambda c: f"{c}-1"),
    "sample and suffix": (lambda c: f"PBMC_{c}", lambda c: f"{c}-1"),
}


@pytest.mark.parametrize("case", SPELLINGS)
def test_the_code_of_the_warning_pairs_the_cells(case: str, log) -> None:
    mine, theirs = SPELLINGS[case]
    adt = modality([theirs(c) for c in BARCODES[:30]][::-1], "p", cell=BARCODES[:30][::-1])
    mdata = join(rna=modality([mine(c) for c in BARCODES], cell=BARCODES), adt=adt)
    describe_pairing(mdata)
    (warning,) = [record.getMessage() for record in log.records if record.levelname == "WARNING"]
    assert warning.startswith("rna and adt share no cells by name") and "30 would be shared" in warning
    names = {"mdata": mdata, "mudata": mudata}
    with quiet_mudata():
        exec(warning.split("before joining: ")[1], names)
    mdata = names["mdata"]
    assert mdata.n_obs == 40
    shared = mdata["adt"].obs_names.intersection(mdata["rna"].obs_names)
    assert len(shared) == 30
    assert (mdata["rna"].obs.loc[shared, "cell"] == mdata["adt"].obs.loc[shared, "cell"]).all()


def test_a_constant_ending_is_named(log) -> None:
    describe_pairing(join(rna=modality([f"{c}-1" for c in BARCODES]), adt=modality(BARCODES, "p")))
    assert 'mdata["rna"].obs_names = mdata["rna"].obs_names.str.removesuffix("-1"); mdata =' in log.text


def test_a_spelling_that_makes_two_cells_one_is_not_named(log) -> None:
    """The barcodes of two samples, whose wells tell them apart in one modality only."""
    rna = modality([f"{c}-{well}" for well in (1, 2) for c in BARCODES])
    describe_pairing(join(rna=rna, adt=modality([f"x{c}" for c in BARCODES], "p")))
    assert (
        "give them the same names in both" in log.text and "removesuffix" not in log.text and "replace" not in log.text
    )


def test_few_cells_in_common_are_warned_of(log) -> None:
    describe_pairing(join(rna=modality(BARCODES[:21]), adt=modality(BARCODES[20:], "p")))
    assert "rna and adt share 1 cells by name, such as 'AAAC0000' in rna and 'AAAC0020' in adt" in log.text


@pytest.mark.filterwarnings("ignore:.*names are not unique")
def test_the_advice_for_repeated_cells_pairs_the_right_ones() -> None:
    """Two samples with the same barcodes, in another order in each modality."""
    samples = np.repeat(["s1", "s2"], 5)
    rna = modality(BARCODES[:5] * 2, sample=samples, cell_type=["T", "B"] * 5)
    adt = modality(BARCODES[:5] * 2, "p", sample=samples[::-1], cell_type=["T", "B"] * 5)
    mdata = join(rna=rna, adt=adt)
    for _ in range(2):
        with pytest.raises(ValueError, match="more than once, so it cannot be paired by name") as error:
            check_mdata(mdata)
        assert "make_unique" not in str(error.value)
        code = re.search(r"before joining them, (.*), and then mdata", str(error.value))[1]
        exec(code, {"mdata": mdata})
    mdata = join(**mdata.mod)
    assert check_mdata(mdata) == ["rna", "adt"]
    assert (
        mdata.n_obs == 10 and mdata["rna"].obs_names[0] == "s1_AAAC0000" and mdata["adt"].obs_names[0] == "s2_AAAC0000"
    )
    describe_pairing(mdata)


def test_cells_of_different_samples_are_not_paired() -> None:
    """What `obs_names_make_unique` of each modality makes of two samples with the same barcodes."""
    samples = np.repeat(["s1", "s2"], 5)
    names = [*BARCODES[:5], *(f"{c}-1" for c in BARCODES[:5])]
    rna, adt = modality(names, sample=samples), modality(names, "p", sample=samples[[0, 1, 2, 5, 6, 7, 8, 9, 3, 4]])
    message = "4 of the 10 cells .* are not the same cells: 'AAAC0003' has sample 's1' in rna and 's2' in adt"
    with pytest.raises(ValueError, match=message):
        describe_pairing(join(rna=rna, adt=adt))


def test_samples_that_are_called_otherwise_are_the_same() -> None:
    samples = np.repeat(["s1", "s2"], 5)
    rna = modality(BARCODES[:10], sample=samples)
    describe_pairing(join(rna=rna, adt=modality(BARCODES[:10], "p", sample=[f"{s}_adt" for s in samples])))
