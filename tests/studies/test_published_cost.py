"""The cost of published encoders at tiny sizes."""

import json
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

import scmoe.studies.genes.cost._published as cost
from scmoe.cli import app
from scmoe.nn.genes._config import GeneConfig

SMALL = {
    name: replace(config, encoder_layers=1, encoder_heads=2, encoder_width=8)
    for name, config in (cost.PUBLISHED | cost.OURS).items()
}


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    torch.manual_seed(0)
    return [row for name, config in SMALL.items() for row in cost.measure(name, config, 60)]


def of(rows: list[dict], form: str, **wanted) -> dict:
    return next(row for row in rows if row["form"] == form and wanted.items() <= row.items())


def test_layers_compute_the_expressed_genes_or_all(rows):
    n_expressed = of(rows, "scmoe, `tiny`")["tokens"]
    assert 0 < n_expressed < 20
    expected = {"scGPT": n_expressed + 1, cost.WITH_ZEROS: 61, "scBERT": 61, "scFoundation": n_expressed + 2}
    assert {name: of(rows, name)["tokens"] for name in expected} == expected


def test_unfused_attention_keeps_more(rows):
    fused, unfused = (of(rows, cost.WITH_ZEROS, fused=way) for way in (True, False))
    scores = 2 * 61**2 * 4 / 2**20  # two heads, one layer
    assert unfused["mib"] > fused["mib"] + scores
    assert len([row for row in rows if row["form"] == "scBERT"]) == 1


def test_both_ways_give_the_same_vectors():
    form = cost.make_form("scGPT", SMALL["scGPT"], 60)
    with cost.attention(False):
        expected = cost.loss(form)
    torch.testing.assert_close(cost.loss(form), expected)


def test_the_command_writes_a_line_for_each_network(tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "PUBLISHED", {"scBERT": SMALL["scBERT"]})
    monkeypatch.setattr(cost, "OURS", {"scmoe": GeneConfig(encoder_layers=1, encoder_width=8)})
    monkeypatch.setattr(cost, "GENES_QUICK", (30, 40))
    done = CliRunner().invoke(app, ["benchmark", "published-cost", "--quick", "-o", str(tmp_path)])
    assert done.exit_code == 0, done.output
    table = (tmp_path / "published_cost.md").read_text().splitlines()
    assert [line.split(" | ")[:2] for line in table[2:6]] == [
        [f"| {form}", str(n)] for n in (30, 40) for form in ("scBERT", "scmoe")
    ]
    assert len(json.loads((tmp_path / "published_cost.json").read_text())["rows"]) == 6
