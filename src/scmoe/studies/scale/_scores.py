"""How well labels and proteins of cells are told that nothing was trained on."""

import numpy as np
from mudata import MuData
from sklearn.neighbors import KNeighborsClassifier

from scmoe._keys import DEFAULT_KEY
from scmoe.model._scmoe import SCMOE
from scmoe.tl._stored import stored_embedding

N_REFERENCE = 50_000
"""Cells that labels are taken from, at most."""
N_NEIGHBORS = 15


def scores_of(mdata: MuData, model: SCMOE) -> dict[str, float]:
    """Scores of the test cells, lowest validation loss and number of epochs."""
    loss = np.asarray(model.history["validation_loss"])
    scores = {
        "knn": label_score(mdata, stored_embedding(mdata, DEFAULT_KEY)),
        "validation_loss": float(loss.min()),
        "epochs": len(loss),
    }
    return scores | {"pearson": _protein_score(mdata, model)} if "adt" in mdata.mod else scores


def _protein_score(mdata: MuData, model: SCMOE) -> float:
    """Mean Pearson correlation of the proteins of test cells with what is predicted from their RNA."""
    test = np.flatnonzero(mdata.obs["part"].to_numpy() == "test")
    predicted, values = model.impute("rna", "adt", indices=test), np.asarray(mdata["adt"].X[test])
    return float(np.nanmean([np.corrcoef(a, b)[0, 1] for a, b in zip(predicted.T, values.T, strict=True)]))


def label_score(mdata: MuData, place: np.ndarray) -> float:
    """Share of the test cells whose label is that of their nearest training cells, in an embedding (n, d)."""
    part, label = mdata.obs["part"].to_numpy(), np.asarray(mdata.obs["cell_type"].astype(str))
    test, train = np.flatnonzero(part == "test"), np.flatnonzero(part == "train")[:N_REFERENCE]
    return float(KNeighborsClassifier(N_NEIGHBORS).fit(place[train], label[train]).score(place[test], label[test]))
