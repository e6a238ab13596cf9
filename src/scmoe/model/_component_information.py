"""Which components of the modalities reproduce, from training cells as the network reads them."""

import numpy as np

from scmoe.data._dataset import MosaicDataset
from scmoe.data.statistics._statistics import reading_weight, shares_unit
from scmoe.model._features import to_numpy
from scmoe.model._fitted import Fitted
from scmoe.nn._tokenizer import ProgramTokenizer
from scmoe.readout._information import Information, fit_information
from scmoe.readout._subsets import Subset

MAX_ENTRIES, MIN_CELLS, MAX_CELLS = 12_000_000, 300, 1500
"""Values that are looked at, and cells of which these are: more would not change the answer, but take their time."""


def fit_component_information(fitted: Fitted, dataset: MosaicDataset, train: np.ndarray) -> dict[Subset, Information]:
    """What the components of each modality say of new cells; nothing for modalities without components.

    Parameters
    ----------
    fitted
        The network.
    dataset
        Its data.
    train
        Positions of the training cells; no other cell is looked at.
    """
    information: dict[Subset, Information] = {}
    for v, tokenizer in enumerate(fitted.network.tokenizers):
        cells = train[dataset.present[train, v]]
        if not isinstance(tokenizer, ProgramTokenizer) or not len(cells):
            continue
        n_features, n_components = tokenizer.fixed_loadings.shape
        n = int(np.clip(MAX_ENTRIES // n_features, MIN_CELLS, MAX_CELLS))
        cells = np.sort(np.random.default_rng(fitted.seed).permutation(cells)[:n])
        z = np.concatenate([to_numpy(reading.z[v]) for reading in fitted.read(dataset, cells, only=[v])])
        is_read = tokenizer.is_read.cpu().numpy()
        std = to_numpy(fitted.network.standardizers[v].std)
        weight = reading_weight(std, is_read) if shares_unit(dataset, v) else is_read
        information[v,] = fit_information(z * weight, n_components, fitted.seed)
    return information
