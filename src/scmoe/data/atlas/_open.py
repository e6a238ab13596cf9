"""An atlas is opened for a model that was set up with a sample of it."""

import os

import numpy as np
from mudata import MuData

from scmoe._keys import COUNTS_LAYER, PANEL
from scmoe._log import logger
from scmoe.data._dataset import MosaicDataset
from scmoe.data._match import category_keys, shorten
from scmoe.data._setup import Setup
from scmoe.data.atlas._alike import Preparation
from scmoe.data.atlas._batches import AtlasCells
from scmoe.datasets._categories import category_names
from scmoe.datasets.atlas._atlas import Atlas, open_atlas
from scmoe.datasets.atlas._windows import check_annbatch


def open_cells(path: str | os.PathLike[str], sample: MuData, dataset: MosaicDataset, train: np.ndarray) -> AtlasCells:
    """The cells of an atlas to train on: all but those of the sample that are not for training.

    Parameters
    ----------
    path
        Of the atlas.
    sample, dataset
        Cells of the atlas, and the same as the model reads them.
    train
        Positions of its training cells.

    Raises
    ------
    ImportError
        annbatch is not installed.
    FileNotFoundError, KeyError, ValueError
        The atlas cannot be read, has not what the model reads, or the sample is of another one.
    """
    check_annbatch()
    setup, preparation = dataset.setup, Preparation.of(sample)
    atlas = open_atlas(path, setup.modalities[0])
    _check_setup(atlas, setup, preparation)
    atlas = atlas.only(setup.modalities)
    places = atlas.names.get_indexer(dataset.obs_names)
    if (places < 0).any():
        raise ValueError(
            f"{int((places < 0).sum())} of the {len(places)} cells of the data are not in {path}, the first is "
            f"{dataset.obs_names[int((places < 0).argmax())]!r}: which cells of the atlas are held out cannot be told. "
            "Take the data from it: scmoe.datasets.sample_atlas(path)."
        )
    is_train = np.any([rows >= 0 for rows in atlas.rows.values()], axis=0)
    is_train[np.delete(places, train)] = False
    columns = [key for key, _ in category_keys(setup)] + setup.continuous + preparation.columns
    obs = atlas.obs(list(dict.fromkeys(columns)))
    for key, _ in category_keys(setup):
        known = setup.batches if key == setup.batch_key else setup.categorical[key]
        unknown = sorted(set(category_names(obs[key]).dropna().unique()) - set(known))
        if unknown:
            logger.warning(
                "obs[%r] of the atlas has categories that no cell of the data has: %s; they count as unknown. A larger "
                "sample has them.",
                *(key, shorten(unknown)),
            )
    logger.info("%s: training on %d cells", path, int(is_train.sum()))
    return AtlasCells(atlas, obs, np.flatnonzero(is_train), setup, preparation)


def _check_setup(atlas: Atlas, setup: Setup, preparation: Preparation) -> None:
    """Raise if the model reads what an atlas has not, or what cannot be made of it."""
    for name in setup.modalities:
        if name not in atlas.parts:
            raise ValueError(
                f"The model reads {name!r}, and the atlas has {', '.join(atlas.parts)}. Name the modalities to read in "
                "setup_mudata(mdata, modalities=[...])."
            )
        if setup.layers[name] not in (None, COUNTS_LAYER):
            raise ValueError(
                f"The model reads layers[{setup.layers[name]!r}] of {name!r}; of an atlas X and layers['counts'] are "
                "read. Set the model up without layers=."
            )
    if PANEL in preparation.columns:
        raise ValueError(
            "A mask was given to scmoe.pp.prepare(missing=...), and an atlas has cells that it says nothing of. Write "
            "NaN into the stores where a value was not measured, and prepare the sample without a mask."
        )
