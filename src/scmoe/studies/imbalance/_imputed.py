"""New cells of rare labels drawn from scVI, as "imputed oversampling" is meant."""

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scmoe._keys import COPY_OF
from scmoe.pp._classes import draw_more, names_of_new, trainable_labels

DRAWS_AT_ONCE = 512


def imputed(cells: AnnData, labels_key: str, *, n_epochs: int, seed: int) -> AnnData:
    """Bring every label to the cells of the most frequent one by draws from scVI.

    scVI learns from the counts of the training cells given here, once, and never from labels. A new cell has counts
    from the posterior predictive distribution of a random cell of its label, with that cell's own depth. So it is as
    real cells are: whole counts at a depth that occurs. (The published study appends expected shares, on another scale
    than its logarithms, and trains again after each round.)

    Parameters
    ----------
    cells
        Training cells with counts.
    labels_key
        Column of ``obs`` with the labels.
    n_epochs
        Epochs of scVI at most; it stops early.
    seed
        Of parents, training and draws.
    """
    import scvi

    labels, sizes = trainable_labels(cells, labels_key)
    parents = draw_more(labels, sizes, int(sizes.iloc[0]), seed)
    counts = AnnData(cells.X.copy(), obs=pd.DataFrame(index=cells.obs_names), var=cells.var[[]])
    counts = counts[np.asarray(counts.X.sum(1)).ravel() > 0].copy()  # a cell without counts has no depth
    scvi.settings.seed = seed
    scvi.model.SCVI.setup_anndata(counts)
    model = scvi.model.SCVI(counts)
    model.train(max_epochs=n_epochs, early_stopping=True, accelerator="cpu", enable_progress_bar=False)
    place = counts.obs_names.get_indexer(cells.obs_names[parents])
    new = np.zeros((len(parents), cells.n_vars), np.float32)
    known = np.flatnonzero(place >= 0)
    for start in range(0, len(known), DRAWS_AT_ONCE):
        rows = known[start : start + DRAWS_AT_ONCE]
        draws = model.posterior_predictive_sample(indices=place[rows], n_samples=1)
        new[rows] = np.asarray(draws.todense()).reshape(len(rows), -1)
    names = cells.obs_names.append(names_of_new(cells, parents, "imputed"))
    obs = pd.concat([cells.obs, cells.obs.iloc[parents]]).set_axis(names)
    obs[COPY_OF] = cells.obs_names.append(cells.obs_names[parents]).to_numpy()
    return AnnData(sparse.vstack([sparse.csr_matrix(cells.X), sparse.csr_matrix(new)], format="csr"), obs, cells.var)
