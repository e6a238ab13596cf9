"""A forest of gene pairs, as singleCellNet labels cells (Tan & Cahan 2019): which of two genes is higher in a cell."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from scmoe.benchmark._inputs import Fold, Run
from scmoe.benchmark.methods._expression import expression, needs_rna
from scmoe.benchmark.methods._method import Method

N_GENES, N_PAIRS = 20, 25
"""Of each label: genes that go with it most, and pairs of these."""
N_TREES = 1000


def marker_genes(values: NDArray[np.float64], member: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The genes whose values correlate most with being of a label, in either direction."""
    centered, indicator = values - values.mean(axis=0), member - member.mean()
    norm = np.sqrt(np.square(centered).sum(axis=0)) * np.sqrt(np.square(indicator).sum())
    correlation = np.divide(indicator @ centered, norm, out=np.zeros(values.shape[1]), where=norm > 0)
    return np.argsort(-np.abs(correlation), kind="stable")[:N_GENES]


def top_pairs(values: NDArray[np.float64], member: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Pairs of genes ``(n, 2)`` whose order in a cell tells most of a label (top-scoring pairs, Geman et al. 2004).

    The score of a pair is the difference between cells of the label and all others in the share of cells in which the
    first gene is higher.
    """
    genes = marker_genes(values, member)
    first, second = (genes[side] for side in np.triu_indices(len(genes), k=1))
    higher = values[:, first] > values[:, second]
    score = np.abs(higher[member].mean(axis=0) - higher[~member].mean(axis=0))
    best = np.argsort(-score, kind="stable")[:N_PAIRS]
    return np.column_stack([first[best], second[best]])


def annotate(fold: Fold, seed: int) -> pd.DataFrame:
    """Probabilities of the training labels in test cells.

    Parameters
    ----------
    fold
        Cells to learn from and to label.
    seed
        Of the forest.
    """
    values, labels = expression(fold), fold.training_labels()
    pairs = np.unique(
        np.concatenate([top_pairs(values.labeled, labels == label) for label in np.unique(labels)]), axis=0
    )
    train, test = (part[:, pairs[:, 0]] > part[:, pairs[:, 1]] for part in (values.labeled, values.test))
    forest = RandomForestClassifier(N_TREES, random_state=seed).fit(train, labels)
    return pd.DataFrame(
        forest.predict_proba(test), index=fold.cells.obs_names[fold.test], columns=forest.classes_.astype(str)
    )


def _annotate(fold: Fold, run: Run) -> pd.DataFrame:
    return annotate(fold, run.seed)


METHOD = Method(name="gene_pairs", annotate=_annotate, unsuited=needs_rna)
