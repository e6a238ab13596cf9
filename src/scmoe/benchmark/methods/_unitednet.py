"""A small network in the manner of UnitedNet, of our own: all tasks but the mosaic."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray

from scmoe.benchmark._inputs import ANNOTATE, PREDICT, Facts, Fold, Run
from scmoe.benchmark._outputs import Embedding, Prediction, QueryMapping
from scmoe.benchmark.methods._method import Method, needs_complete_cells, needs_two_modalities

if TYPE_CHECKING:
    from scmoe.benchmark.methods._unitednet_network import UnitedNetFit

LIBRARY = "scmoe.benchmark.methods._unitednet_network"
N_CLUSTERS = 20
"""Of the head where nobody says how many groups there are."""


def trained(mdata: MuData, n_groups: int, seed: int, codes: NDArray[np.integer] | None = None) -> "UnitedNetFit":
    """A network; torch is loaded for it alone, and not into the memory of other methods."""
    from scmoe.benchmark.methods._unitednet_network import fit

    return fit(mdata, n_groups, seed, codes)


def embed(mdata: MuData, run: Run) -> Embedding:
    """All cells, which the network is trained on."""
    return Embedding(points=trained(mdata, N_CLUSTERS, run.seed).latent(mdata))


def map_query(reference: MuData, query: MuData, run: Run) -> QueryMapping:
    """Cells that the network is trained on, and new ones."""
    model = trained(reference, N_CLUSTERS, run.seed)
    return QueryMapping(reference=model.latent(reference), query=model.latent(query))


def predict(known: MuData, test: MuData, run: Run) -> Prediction:
    """The target of the test cells, which have the source alone."""
    return Prediction(values=trained(known, N_CLUSTERS, run.seed).predict(test, run.source, run.target))


def annotate(fold: Fold, run: Run) -> pd.DataFrame:
    """Probabilities of the training labels in test cells."""
    names, test = np.unique(fold.training_labels()), fold.test_cells()
    codes = pd.Index(names).get_indexer(fold.labels.iloc[fold.train])
    probability = trained(fold.training_cells(), len(names), run.seed, codes).probabilities(test)
    return pd.DataFrame(probability, index=test.obs_names, columns=names)


def _unsuited(run: Run, facts: Facts) -> str:
    if run.task == PREDICT or (run.task == ANNOTATE and run.source):  # of cells that have what is asked for
        return ""
    return needs_complete_cells(facts) or ("" if run.task == ANNOTATE else needs_two_modalities(facts))


METHOD = Method(
    name="unitednet",
    embed=embed,
    map_query=map_query,
    predict=predict,
    annotate=annotate,
    unsuited=_unsuited,
    libraries=(LIBRARY,),
    slow=True,
)
