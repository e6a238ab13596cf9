"""The features of all modalities, as the model reads them, some cells at a time."""

from collections.abc import Iterator

import numpy as np

from scmoe.data._dataset import MosaicDataset
from scmoe.data.sparse._rows import dense
from scmoe.explain._correlation import FeatureChunk

VALUES_AT_ONCE = 2**22
"""Values of features that are dense in memory at a time: 32 MiB, in a few copies."""


def feature_chunks(dataset: MosaicDataset) -> Iterator[FeatureChunk]:
    """The values that the model sees, modality by modality, for some cells at a time."""
    n_cells = max(1, VALUES_AT_ONCE // sum(map(len, dataset.setup.feature_names.values())))
    for start in range(0, len(dataset), n_cells):
        cells = np.arange(start, min(start + n_cells, len(dataset)))
        batch = dataset[cells]
        for v, name in enumerate(dataset.setup.modalities):
            members = cells[dataset.present[cells, v]]
            observed = batch.observed[v]
            if len(members):
                yield FeatureChunk(
                    name, members, dense(batch.values[v]).numpy(), None if observed is None else observed.numpy()
                )
