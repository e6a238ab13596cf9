"""A perceptron on all genes, with the layers and settings of ACTINN (Ma & Pellegrini 2020)."""

import warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from scmoe.benchmark._inputs import Fold, Run
from scmoe.benchmark.methods._expression import expression, needs_rna
from scmoe.benchmark.methods._method import Method

LAYERS, LEARNING_RATE, DECAY, BATCH_SIZE = (100, 50, 25), 1e-4, 0.005, 128
N_EPOCHS, N_STEPS = 50, 4000
"""Its epochs are meant for many cells: at its learning rate, few need more. It takes so many steps at least."""
OUTLIERS = 1
"""Percent of the genes that are left out at either end of the means, and of the coefficients of variation."""


def n_epochs(n_cells: int) -> int:
    """How long a perceptron is trained."""
    return max(N_EPOCHS, -(-N_STEPS // -(-n_cells // BATCH_SIZE)))


def ordinary_genes(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Genes that are expressed, and extreme neither in their mean nor in their variation."""
    mean = values.mean(axis=0)
    variation = np.divide(values.std(axis=0), mean, out=np.zeros_like(mean), where=mean > 0)
    ordinary = mean > 0
    for score in (mean, variation):
        low, high = np.percentile(score[mean > 0], [OUTLIERS, 100 - OUTLIERS])
        ordinary &= (score >= low) & (score <= high)
    return ordinary if ordinary.any() else mean > 0


def annotate(fold: Fold, seed: int) -> pd.DataFrame:
    """Probabilities of the training labels in test cells.

    Parameters
    ----------
    fold
        Cells to learn from and to label.
    seed
        Of the first weights and of batches.
    """
    values = expression(fold)
    genes = ordinary_genes(values.labeled)
    epochs = n_epochs(len(fold.labeled))
    network = MLPClassifier(
        LAYERS,
        alpha=DECAY,
        batch_size=min(BATCH_SIZE, len(fold.labeled)),
        learning_rate_init=LEARNING_RATE,
        max_iter=epochs,
        n_iter_no_change=epochs,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ConvergenceWarning)  # the number of epochs is fixed
        network.fit(values.labeled[:, genes], fold.training_labels())
    return pd.DataFrame(
        network.predict_proba(values.test[:, genes]),
        index=fold.cells.obs_names[fold.test],
        columns=network.classes_.astype(str),
    )


def _annotate(fold: Fold, run: Run) -> pd.DataFrame:
    return annotate(fold, run.seed)


METHOD = Method(name="actinn", annotate=_annotate, unsuited=needs_rna, slow=True)
