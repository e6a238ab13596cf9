"""What the study runs: a model on a representation of cell lines, judged on what was left out, fold by fold."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, roc_auc_score

from scmoe.studies._run import Task as BaseTask
from scmoe.studies._run import TaskFailed
from scmoe.studies.synergy._data import Screen
from scmoe.studies.synergy._lines import OURS, REPRESENTATIONS, LineVectors, Vectors
from scmoe.studies.synergy._molecules import fingerprints, molecule_graphs
from scmoe.studies.synergy._network import fit_network, make_rows, predict_network

PAIRS, DRUGS, LINES = LEFT_OUT = ("pairs", "drugs", "cell lines")
TREES, NETWORK = MODELS = ("boosted trees", "graph network")
N_FOLDS = 5
Mask = NDArray[np.bool_]
Predict = Callable[[Screen, Vectors, Mask], NDArray[np.floating]]
"""From combinations, vectors of cell lines and which rows to test: scores of the test rows, learned from the others."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is run; the methods are the same at any size.

    Parameters
    ----------
    n_folds
        How many of the five folds are done.
    n_trees, n_epochs
        Of the models.
    """

    n_folds: int = N_FOLDS
    n_trees: int = 100
    n_epochs: int = 30


FULL = Size()
QUICK = Size(n_folds=2, n_trees=30, n_epochs=4)


@dataclass(frozen=True, kw_only=True)
class EmbeddingTask(BaseTask):
    """Our embedding of the cell lines, which is slow where a model has to be pretrained."""

    seed: int
    encoder: str
    content: str

    @property
    def name(self) -> str:
        """For files."""
        return f"embedding_{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Task(BaseTask):
    """A model on a representation, with one way of leaving out, in all folds of a seed."""

    left_out: str
    model: str
    representation: str
    seed: int
    encoder: str
    content: str
    size: Mapping[str, int]

    @property
    def name(self) -> str:
        """For files."""
        words = f"{self.left_out} {self.model} {self.representation} {self.seed}"
        return words.lower().replace(" ", "_")


def plan(content: str, encoder: str, seeds: Sequence[int], models: Sequence[str], size: Size) -> Iterator[Task]:
    """All tasks; only those with our embedding depend on its encoder."""
    for seed in seeds:
        for model in models:
            for left_out in LEFT_OUT:
                for representation in REPRESENTATIONS:
                    yield Task(
                        left_out=left_out,
                        model=model,
                        representation=representation,
                        seed=seed,
                        encoder=encoder if representation == OURS else "",
                        content=content,
                        size=asdict(size),
                    )


def folds(screen: Screen, left_out: str, seed: int) -> Iterator[Mask]:
    """Which rows are left out: a fifth of the pairs, all rows with one of a fifth of the drugs, or of the cell lines.

    The same for all models and representations.
    """
    members = {
        PAIRS: screen.pairs @ (len(screen.drugs), 1),
        DRUGS: screen.pairs,
        LINES: screen.lines,
    }[left_out]
    names, place = np.unique(members, return_inverse=True)
    if len(names) < N_FOLDS:
        raise ValueError(f"There must be at least {N_FOLDS} {left_out}, to leave some out; found {len(names)}.")
    of_member = np.random.default_rng(seed).permutation(np.arange(len(names)) % N_FOLDS)
    of_row = of_member[place].reshape(len(screen.labels), -1)
    return ((of_row == fold).any(axis=1) for fold in range(N_FOLDS))


def perform(task: Task, screen: Screen, vectors: LineVectors) -> dict[str, Any]:
    """Scores of each fold, and numbers of rows."""
    of_lines = vectors(task.representation, task.seed)
    predict = predictors(task.size, task.seed)[task.model]
    rows: list[dict[str, float]] = []
    for fold, test in enumerate(folds(screen, task.left_out, task.seed)):
        if fold == task.size["n_folds"]:
            break
        truth, known = screen.labels[test], screen.labels[~test]
        if min(len(set(truth)), len(set(known))) < 2:
            raise TaskFailed(
                f"leaving out {task.left_out}, fold {fold + 1} has {len(truth)} combinations and leaves {len(known)}; "
                "both must have synergistic and other ones"
            )
        score = predict(screen, of_lines, test)
        rows.append(
            {
                "auroc": float(roc_auc_score(truth, score)),
                "aupr": float(average_precision_score(truth, score)),
                "n_test": len(truth),
                "n_train": len(known),
            }
        )
    return {"folds": rows}


def predictors(size: Mapping[str, int], seed: int) -> dict[str, Predict]:
    """The models, by name."""

    def trees(screen: Screen, of_lines: Vectors, test: Mask) -> NDArray[np.floating]:
        bits = fingerprints(screen.drugs)[screen.pairs].sum(axis=1)  # the same for both orders of two drugs
        x = np.hstack([bits, of_lines[screen.lines]])
        model = HistGradientBoostingClassifier(max_iter=size["n_trees"], early_stopping=False, random_state=seed)
        return model.fit(x[~test], screen.labels[~test]).predict_proba(x[test])[:, 1]

    def network(screen: Screen, of_lines: Vectors, test: Mask) -> NDArray[np.floating]:
        graphs = molecule_graphs(screen.drugs)
        known = make_rows(screen.pairs[~test], of_lines[screen.lines[~test]])
        model = fit_network(graphs, known, screen.labels[~test], size["n_epochs"], seed)
        return predict_network(model, make_rows(screen.pairs[test], of_lines[screen.lines[test]]))

    return {TREES: trees, NETWORK: network}
