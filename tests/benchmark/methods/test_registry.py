import numpy as np
import pytest

from scmoe.benchmark._inputs import TASKS, Facts, Run
from scmoe.benchmark._outputs import Prediction
from scmoe.benchmark._plan import check_methods, plan, reason_to_skip
from scmoe.benchmark._tasks import perform
from scmoe.benchmark.methods._method import Method
from scmoe.benchmark.methods._registry import METHODS, method_of, methods_of

CITE = Facts(kinds={"rna": "rna", "adt": "protein"}, n_cells=100, complete=True, n_labels=3, n_batches=2)


def test_one_record_is_all_that_a_method_needs(monkeypatch, paired):
    def constant(train, test, run):
        return Prediction(values=np.zeros((test.n_obs, train[run.target].n_vars)))

    record = Method(name="constant", predict=constant, unsuited=lambda run, facts: "one way" * (run.target == "rna"))
    monkeypatch.setitem(METHODS, "constant", record)
    check_methods(CITE.kinds, ["constant"], TASKS)
    runs = list(plan(CITE, "", None, None, methods=["constant"], tasks=TASKS, seeds=[0], quick=True))
    assert [(run.task, reason_to_skip(run, CITE)) for run in runs] == [("predict", ""), ("predict", "one way")]
    assert perform(paired, runs[0])["scores"]["nrmse"] > 0


def test_names_are_distinct_and_find_their_records():
    assert [method.name for method in METHODS.values()] == list(METHODS)
    assert method_of("ridge") is METHODS["ridge"]
    assert method_of("pca_gex").name == "pca_gex"


@pytest.mark.parametrize("name", METHODS)
def test_every_method_does_a_task(name):
    assert any(METHODS[name].does(task) for task in TASKS)


def test_pca_of_each_modality_follows_that_of_all():
    names = [method.name for method in methods_of("embed", CITE.kinds)]
    place = names.index("pca_unscaled")
    assert names[place + 1 : place + 4] == ["pca_rna", "pca_adt", "snf"]
    assert not {"pca_rna"} & {method.name for method in methods_of("embed", {"rna": "rna"})}


def test_mosaic_ends_with_pca_of_the_first_modality():
    assert [method.name for method in methods_of("mosaic", CITE.kinds)][-2:] == ["midas", "pca_rna"]


def test_method_without_its_package_is_skipped(monkeypatch):
    record = Method(name="other", embed=lambda mdata, run: None, libraries=("numpy", "no_such_package.part"))
    monkeypatch.setitem(METHODS, "other", record)
    run = Run(task="embed", method="other", seed=0, case="all cells", data="")
    assert reason_to_skip(run, CITE) == "no_such_package is not installed"
