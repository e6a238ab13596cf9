"""The gallery shows every plot, and its code runs as it stands."""

import importlib.util
import re
from pathlib import Path

import pytest

import scmoe.pl

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "gallery.md").read_text(encoding="utf-8")
PLOTS = set(scmoe.pl.__all__) - {"report"}
"""The report is a page."""
CHANGES = {'"max_epochs": 30': '"max_epochs": 1, "n_hidden": 16, "n_experts": 4', "n_steps=16": "n_steps=2"}


@pytest.fixture(scope="module")
def gallery():
    spec = importlib.util.spec_from_file_location("make_gallery", DOCS / "make_gallery.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_plot_has_a_section_with_its_code_a_figure_and_a_verdict():
    sections = dict(re.findall(r"^## (\w+)$\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
    for name in PLOTS:
        assert f"scmoe.pl.{name}(" in sections[name] and "*Worth printing:" in sections[name]
        assert f"_static/gallery/{name}_4.png" in sections[name]


def test_the_figures_shown_are_there_and_no_others():
    shown = set(re.findall(r"_static/gallery/(\w+\.png)", PAGE))
    assert {path.name for path in (DOCS / "_static" / "gallery").iterdir()} == shown


@pytest.mark.slow
def test_the_code_draws_a_figure_of_print_size_in_each_section(gallery):
    sizes = {name: figure.get_size_inches() for name, figure in gallery.figures("lineage", CHANGES)}
    assert set(sizes) == {"map", *PLOTS}
    assert all(width <= 7.01 and height <= 9.6 for width, height in sizes.values())
