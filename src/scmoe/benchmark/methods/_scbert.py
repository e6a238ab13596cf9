"""The form of scBERT as an annotator, without its published weights."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scmoe.benchmark._inputs import Fold, Run
from scmoe.benchmark.methods._expression import expression, needs_rna
from scmoe.benchmark.methods._method import Method

LIBRARY = "scmoe.benchmark.methods._scbert_network"
N_GENES = 400
"""The genes that vary most in training cells; the published network reads 16,906."""
MAX_LEVEL = 5


def levels(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole-number levels of log-normalized values ln(1 + x): floor(log2(1 + x)), from 0 to 5."""
    return np.clip(np.floor(values / np.log(2)), 0, MAX_LEVEL).astype(np.int64)


def annotate(fold: Fold, seed: int) -> pd.DataFrame:
    """Probabilities of the training labels in test cells.

    A small Performer is pretrained on masked genes of all training cells, and fine-tuned on those with a label.

    Parameters
    ----------
    fold
        Cells to learn from and to label.
    seed
        Of weights, masks and batches.
    """
    from scmoe.benchmark.methods._scbert_network import fit  # torch for it alone, not in the memory of other methods

    values, labels = expression(fold), fold.training_labels()
    names, codes = np.unique(labels, return_inverse=True)
    genes = np.sort(np.argsort(-values.train.var(axis=0), kind="stable")[:N_GENES])
    train, labeled = values.train[:, genes], fold.labels.iloc[fold.train].notna().to_numpy()
    model = fit(train, levels(train), labeled, codes, seed)
    return pd.DataFrame(
        model.probabilities(levels(values.test[:, genes])), index=fold.cells.obs_names[fold.test], columns=names
    )


def _annotate(fold: Fold, run: Run) -> pd.DataFrame:
    return annotate(fold, run.seed)


METHOD = Method(name="scbert", annotate=_annotate, unsuited=needs_rna, libraries=(LIBRARY,), slow=True)
