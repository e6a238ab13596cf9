"""Every public function has an example, and examples run: on a copy of the same small results, with short trainings.

In them, ``mdata`` is the bundled data, prepared, and ``model`` a model of it with ``labels_key="lineage"``.
"""

import doctest
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

import scmoe
from scmoe.io._quiet import quiet_mudata

NOT_RUN = {
    "datasets": (
        "bmmc_multiome dbitseq dlpfc from_spatialdata patchseq_gaba patchseq_m1 pbmc10k_cite pbmc10k_multiome zheng68k"
    ),
    "pp": "assign_tags",
    "model": (
        "read_published SCMOE.from_hub SCMOE.push_to_hub XTRIMOGENE.from_hub XTRIMOGENE.from_published "
        "XTRIMOGENE.push_to_hub"
    ),
    "benchmark": "run_compare run_demo",
    "studies": (
        "run_conflict run_experts run_genes run_genes_cost run_genes_scaling run_imbalance run_markers run_novelty "
        "run_perturbation run_published_cost run_rare_experts run_reference run_replicate run_scale run_shap run_speed "
        "run_synergy train_reference"
    ),
}
"""Examples that read files of users, download, need other packages, or take minutes; tests of their own run these."""
SKIPPED = {f"{package}.{name}" for package, names in NOT_RUN.items() for name in names.split()}


def public() -> Iterator[tuple[str, Any]]:
    """Functions, classes and methods that have an example, by the name that users call them."""
    for package in scmoe._subpackages:
        module = import_module(f"scmoe.{package}")
        for name in module.__all__:
            member = getattr(module, name)
            yield f"{package}.{name}", member
            if inspect.isclass(member) and package == "model":
                methods = (key for key, value in vars(member).items() if not key.startswith("_") and callable(value))
                own = (*methods, *(key for key, value in vars(member).items() if isinstance(value, classmethod)))
                yield from ((f"{package}.{name}.{key}", getattr(member, key)) for key in own)


EXAMPLES = {
    name: examples
    for name, member in public()
    if (examples := doctest.DocTestParser().get_examples(inspect.getdoc(member) or ""))
}


def test_every_public_function_has_an_example():
    functions = {name for name, member in public() if inspect.isfunction(member) and name.count(".") == 1}
    assert not functions - set(EXAMPLES)


def test_only_named_examples_are_not_run():
    skipped = {name for name, lines in EXAMPLES.items() if any(line.options.get(doctest.SKIP) for line in lines)}
    assert skipped == SKIPPED


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - SKIPPED))
def test_example_runs(name, explained, monkeypatch, tmp_path):
    if name == "datasets.sample_atlas":
        pytest.importorskip("annbatch")
    monkeypatch.setattr("scmoe.model._training.default_epochs", lambda *_: 1)
    monkeypatch.setattr(plt, "show", lambda *_, **__: None)
    monkeypatch.chdir(tmp_path)
    mdata, model = explained
    with quiet_mudata():
        namespace = {"scmoe": scmoe, "np": np, "mdata": mdata.copy(), "model": model}
    module = inspect.getmodule(inspect.unwrap(dict(public())[name]))
    globs = vars(module) | namespace if name.split(".")[0] == "metrics" else namespace
    test = doctest.DocTest(EXAMPLES[name], dict(globs), name, str(Path(module.__file__)), None, None)
    runner, report = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE), []
    runner.run(test, out=report.append)
    plt.close("all")
    assert not runner.failures, "".join(report)
