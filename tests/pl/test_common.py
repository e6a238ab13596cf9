"""What all plots have in common."""

import matplotlib.pyplot as plt
import pytest
from mudata import read_h5mu

import scmoe.pl
from scmoe.datasets._write import write
from scmoe.io._quiet import quiet_mudata

PLOTS = {
    "history": (scmoe.pl.history, "scmoe.tl.train"),
    "expert_usage": (scmoe.pl.expert_usage, "scmoe.tl.expert_usage"),
    "attention": (scmoe.pl.attention, "scmoe.tl.attention"),
    "ablation": (scmoe.pl.ablation, "scmoe.tl.ablation"),
}


@pytest.mark.parametrize("name", PLOTS)
def test_missing_table_names_the_function_to_run(mdata, name):
    plot, function = PLOTS[name]
    del mdata.uns["scmoe"][name]
    with pytest.raises(KeyError, match=function):
        plot(mdata)
    with pytest.raises(KeyError, match="other"):
        plot(mdata, key="other")


@pytest.mark.parametrize("name", PLOTS)
def test_draws_into_the_axes_given(mdata, name):
    _, ax = plt.subplots()
    assert PLOTS[name][0](mdata, ax=ax) is ax


@pytest.mark.parametrize("name", PLOTS)
def test_saves_without_showing(mdata, name, tmp_path):
    assert PLOTS[name][0](mdata, save=tmp_path / "figure.png") is not None
    assert (tmp_path / "figure.png").stat().st_size > 0


def test_show_returns_nothing(mdata, monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(True))
    assert scmoe.pl.history(mdata, show=True) is None
    assert scmoe.pl.imputed(mdata, source="rna", target="adt", features="CD4", show=True) is None
    assert shown == [True, True]


def test_tables_read_back_from_disk_are_drawn(mdata, tmp_path):
    write(mdata, tmp_path / "result.h5mu")
    with quiet_mudata():
        stored = read_h5mu(tmp_path / "result.h5mu")
    assert scmoe.pl.history(stored) and scmoe.pl.attention(stored, group="T", beside_ablation=True)
    assert scmoe.pl.expert_usage(stored, by="group")
    assert scmoe.pl.imputed(stored, source="rna", target="adt", features="CD4")
