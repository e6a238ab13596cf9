"""Cell lines as vectors: our embedding, components of their expression, random numbers, and nothing."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from scmoe.model._folder import SETTINGS
from scmoe.model.genes._xtrimogene import XTRIMOGENE
from scmoe.pp._normalize import log_normalize
from scmoe.studies.genes._probe import CPU

NONE, RANDOM, COMPONENTS, OURS = REPRESENTATIONS = ("no expression", "random", "components", "XTRIMOGENE")
N_FEATURES = 20
"""Width of each representation, but of none; at most one less than there are cell lines."""
Vectors = NDArray[np.float64]
Embed = Callable[[int], NDArray[np.floating]]
LineVectors = Callable[[str, int], Vectors]
"""From representation and seed to (lines, features)."""


def line_vectors(expression: pd.DataFrame, embed: Embed) -> LineVectors:
    """What makes the representations of cell lines, each once for a seed. None sees a label.

    Parameters
    ----------
    expression
        Cell lines x genes.
    embed
        From a seed to our embedding of the cell lines.
    """
    n_features = min(N_FEATURES, len(expression) - 1)

    @cache
    def vectors(representation: str, seed: int) -> Vectors:
        if representation == NONE:
            return np.zeros((len(expression), 0))
        if representation == RANDOM:
            return np.random.default_rng(seed).normal(size=(len(expression), n_features))
        if representation == COMPONENTS:
            return _components(log_normalize(expression.to_numpy(np.float64)), n_features)
        return _components(embed(seed), n_features)

    return vectors


def _components(values: NDArray[np.floating], n_features: int) -> Vectors:
    """Principal components, with a variance of 1 on average."""
    scores = PCA(min(n_features, values.shape[1]), svd_solver="full").fit_transform(np.asarray(values, np.float64))
    return np.asarray(scores / max(scores.std(), 1e-12))


def profiles(expression: pd.DataFrame) -> AnnData:
    """Cell lines as a gene model reads them: amounts, to the nearest whole number, as counts."""
    counts = np.rint(expression.to_numpy(np.float64)).astype(np.float32)
    return AnnData(counts, obs=pd.DataFrame(index=expression.index), var=pd.DataFrame(index=expression.columns))


@dataclass(frozen=True)
class Encoder:
    """What embeds cell lines.

    Parameters
    ----------
    folder
        Of a pretrained model; None: one is pretrained on the expression at hand.
    n_passes
        Of that pretraining over the cell lines.
    """

    folder: Path | None
    n_passes: int

    @property
    def id(self) -> str:
        """For the keys of results; the settings of a model hold a checksum of its weights."""
        if self.folder is None:
            return f"{self.n_passes} passes"
        return hashlib.sha256((self.folder / SETTINGS).read_bytes()).hexdigest()

    def embed(self, expression: pd.DataFrame, seed: int) -> NDArray[np.float32]:
        """(lines, axes)."""
        lines = profiles(expression)
        if self.folder is None:
            return pretrained(lines, self.n_passes, seed).get_latent_representation(lines)
        model = XTRIMOGENE.load(self.folder)
        setup = model.setup
        if setup.values == "lognormalized":
            lines.X = log_normalize(lines.X)
        if setup.layer is not None:
            lines.layers[setup.layer] = lines.X
        if setup.column is not None:
            lines.var[setup.column] = lines.var_names
        return model.get_latent_representation(lines)


def pretrained(lines: AnnData, n_passes: int, seed: int) -> XTRIMOGENE:
    """The preset "tiny", pretrained on all cell lines: they are too few to spare some."""
    XTRIMOGENE.setup_anndata(lines)
    model = XTRIMOGENE(lines, seed=seed)
    model.train(n_passes, train_size=1.0, **CPU)
    return model
