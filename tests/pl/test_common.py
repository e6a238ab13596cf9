"""What all plots have in common."""

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from mudata import read_h5mu

import scmoe.pl
from scmoe.datasets._write import write
from scmoe.io._quiet import quiet_mudata
from scmoe.metrics import calibration_table, confusion_table, level_accuracy, per_class_scores
from scmoe.pl import _style as style

PLOTS = {
    "history": (scmoe.pl.history, "scmoe.tl.train"),
    "expert_usage": (scmoe.pl.expert_usage, "scmoe.tl.expert_usage"),
    "attention": (scmoe.pl.attention, "scmoe.tl.attention"),
    "ablation": (scmoe.pl.ablation, "scmoe.tl.ablation"),
}
TRUTH, PREDICTED = np.repeat(["B", "T"], 20), np.resize(["B", "B", "T"], 40)
OF_TABLES = {
    "per_class": per_class_scores(TRUTH, PREDICTED, labels=["B", "T"]),
    "level_accuracy": level_accuracy(
        TRUTH, PREDICTED, np.full(40, 0.7), hierarchy={"B": "lymphoid", "T": "lymphoid"}, labels=["B", "T"]
    ),
    "confusion": confusion_table(TRUTH, PREDICTED, labels=["B", "T"]),
    "calibration": calibration_table(
        TRUTH, PREDICTED, [[0.8, 0.2] if name == "B" else [0.3, 0.7] for name in PREDICTED], labels=["B", "T"]
    ),
}
FIGURES = sorted(set(scmoe.pl.__all__) - {"report"})
"""The report is a page."""
SEVERAL = {"attribution", "expert_card", "imputed"}
"""Figures of several panels."""
ARGUMENTS = {"imputed": {"source": "rna", "target": "adt"}, "expert_card": {"expert": 0}}
COLORS = {
    "normal": np.eye(3),
    # Machado et al. 2009, severity 1, of linear RGB
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
"""What is seen, by the form of color vision."""


@pytest.fixture
def draw(explained):
    """Any plot by name, with what it needs."""

    def plot(name: str, **kwargs):
        first = OF_TABLES.get(name, explained[0])
        return getattr(scmoe.pl, name)(first, **ARGUMENTS.get(name, {}), **kwargs)

    return plot


@pytest.mark.parametrize("name", FIGURES)
def test_arguments_are_those_of_scanpy(draw, name, tmp_path, monkeypatch):
    """`ax`, `show`, `save` and `return_fig` in every plot."""
    assert isinstance(draw(name), Figure if name in SEVERAL else Axes)
    figure, (left, right) = plt.subplots(1, 2)
    drawn = draw(name, ax=right, save=tmp_path / "a.pdf")
    assert (drawn is right) == (name not in SEVERAL) and (tmp_path / "a.pdf").stat().st_size > 0
    assert not left.has_data() and (right.has_data() or drawn.axes)
    assert draw(name, ax=left, return_fig=True) is figure
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(True))
    assert draw(name, show=True, return_fig=True) is None and shown == [True]


@pytest.mark.parametrize("name", FIGURES)
def test_figures_fit_a_page_and_hold_their_text(draw, name):
    """At most 7 x 9 inches; no text leaves the figure, and none has less than 5 points."""
    figure = draw(name, return_fig=True)
    assert (figure.get_size_inches() <= (7, 9.6)).all()
    figure.canvas.draw()
    inches, drawn = figure.get_size_inches(), figure.get_tightbbox()
    assert (drawn.min > -0.03).all() and (drawn.max < inches + 0.03).all(), (drawn, inches)
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    assert len(texts) > 3 and min(text.get_fontsize() for text in texts) >= 5


def test_a_place_must_be_one_of_a_grid(draw):
    ax = plt.figure().add_axes((0, 0, 1, 1))
    with pytest.raises(ValueError, match="ax must be one of a grid"):
        draw("expert_card", ax=ax)


def test_settings_of_the_session_stay(draw):
    with plt.rc_context({"font.size": 20}):
        assert draw("history").xaxis.label.get_fontsize() == 8
        assert plt.rcParams["font.size"] == 20


@pytest.mark.parametrize("vision", COLORS)
def test_colors_can_be_told_apart(vision):
    """In CIELAB; 2 is just seen. The first four are the easiest."""
    seen = [_lab(np.clip(np.array(COLORS[vision]) @ _linear(to_rgb(color)), 0, 1)) for color in style.COLORS]
    for colors, least in ((seen[:4], 20), (seen, 15)):
        assert min(np.linalg.norm(a - b) for a, b in combinations(colors, 2)) > least


def _linear(rgb):
    rgb = np.asarray(rgb)
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _lab(rgb):
    """CIELAB of linear RGB, under the light D65."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb
    t = xyz / [0.9505, 1, 1.089]
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


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
