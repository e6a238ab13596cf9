"""Logistic regression on the cells of a reference, with the features that the query has."""

from collections.abc import Sequence

import numpy as np
from mudata import MuData
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from scmoe.data._features import match_features
from scmoe.pp._normalize import TARGET_TOTAL

MAX_STEPS = 1000


def logistic_regression(
    reference: MuData, query: MuData, labels_key: str, modalities: Sequence[str]
) -> tuple[NDArray[np.floating], list[str]]:
    """Probabilities of labels, and their names, from a fit that knows the panel of the query.

    Both sides are normalized over the features that they share (log of 10,000 a cell, or centered logarithms of
    proteins), and standardized as the reference is.

    Parameters
    ----------
    reference, query
        With raw counts.
    labels_key
        Column of the reference's obs.
    modalities
        What to look at.
    """
    blocks = []
    for name in modalities:
        wanted = reference[name].var_names.astype(str).tolist()
        columns = match_features(wanted, query[name], is_protein=name == "adt").columns
        shared = columns >= 0
        sides = ((reference[name].X, shared), (query[name].X, columns[shared]))
        blocks.append([normalized(_dense(matrix[:, chosen]), name) for matrix, chosen in sides])
    train, test = (np.hstack(parts) for parts in zip(*blocks, strict=True))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=MAX_STEPS))
    model.fit(train, reference.obs[labels_key].astype(str))
    return model.predict_proba(test), list(model.classes_)


def normalized(counts: NDArray[np.floating], modality: str) -> NDArray[np.floating]:
    """Counts (n, D) as `scmoe.pp.prepare` normalizes genes or proteins."""
    if modality == "adt":
        logs = np.log1p(counts)
        return np.asarray(logs - logs.mean(1, keepdims=True))
    return np.asarray(np.log1p(TARGET_TOTAL * counts / np.maximum(counts.sum(1, keepdims=True), 1)))


def _dense(matrix: object) -> NDArray[np.floating]:
    return np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix, np.float64)  # type: ignore[attr-defined]
