"""Baselines that label cells: training cells with labels and cells without in, probabilities out."""

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from scmoe.benchmark._baselines import pca_embedding
from scmoe.benchmark._inputs import Fold, Run
from scmoe.benchmark.methods._method import Method

N_COMPONENTS = 50
MAX_ITERATIONS = 1000
CLASS_WEIGHTS = {"logreg": None, "logreg_balanced": "balanced"}
"""Whether rare labels count for more, by method."""


def logreg(
    method: str, mdata: MuData, train: NDArray[np.integer], test: NDArray[np.integer], labels: pd.Series, seed: int
) -> pd.DataFrame:
    """Logistic regression (C = 1) on the principal components of all modalities, fitted on training cells.

    Parameters
    ----------
    method
        A key of `CLASS_WEIGHTS`.
    mdata
        All cells.
    train, test
        Positions of the cells to learn from and to label.
    labels
        Labels of all cells; those of test cells are not looked at. Training cells without one count in the components.
    seed
        Of PCA.

    Returns
    -------
    Probabilities, test cells x training labels.
    """
    values = pca_embedding(mdata, train, N_COMPONENTS, seed=seed)
    values *= np.sqrt(values.shape[1])  # a mean variance of one, for which C = 1 is meant
    model = LogisticRegression(C=1.0, class_weight=CLASS_WEIGHTS[method], max_iter=MAX_ITERATIONS)
    labeled = train[labels.iloc[train].notna()]
    model.fit(values[labeled], labels.iloc[labeled].astype(str))
    return pd.DataFrame(model.predict_proba(values[test]), index=mdata.obs_names[test], columns=model.classes_)


def _annotate(fold: Fold, run: Run) -> pd.DataFrame:
    return logreg(run.method, fold.cells, fold.train, fold.test, fold.labels, run.seed)


METHODS = tuple(Method(name=name, annotate=_annotate) for name in CLASS_WEIGHTS)
