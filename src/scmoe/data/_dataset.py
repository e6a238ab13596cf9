"""Mini-batches of a MuData whose cells may lack modalities and whose modalities may lack values."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from mudata import MuData
from scipy import sparse
from torch import Tensor
from torch.utils.data import Dataset

from scmoe._check import check_mdata, looks_like_counts
from scmoe.data._presence import Presence, locate
from scmoe.data._setup import (
    COUNT_LIKELIHOODS,
    Setup,
    check_modality,
    column_of,
    describe_layer,
    prepared_kinds,
    values_of,
)
from scmoe.pp._normalize import log_normalize


class Batch(NamedTuple):
    """B cells; one entry a modality in the lists, with rows for the n_v cells that have it; float32 throughout."""

    values: list[Tensor]
    """(n_v, D) input values, 0 where missing."""
    observed: list[Tensor | None]
    """(n_v, D) which values are observed; None: all."""
    counts: list[Tensor | None]
    """(n_v, D) raw counts for a likelihood of counts; else None."""
    presence: Presence
    """Which cells have which modalities."""
    batch: Tensor
    """(B,) code of the batch; -1: not one of the model's."""
    label: Tensor
    """(B,) code of the label; -1: unlabeled."""
    similarity: Tensor | None = None
    """(B, B) similarities of the cells in the neighbor graph; in training only."""

    def only(self, modalities: Sequence[int]) -> "Batch":
        """The same cells without their other modalities. On the host, before the batch goes to a GPU."""
        mask = torch.zeros_like(self.presence.mask)
        mask[:, modalities] = self.presence.mask[:, modalities]

        hidden = [v not in modalities for v in range(len(self.values))]
        return self._replace(
            values=[x[:0] if hide else x for x, hide in zip(self.values, hidden, strict=True)],
            observed=[None if x is None or hide else x for x, hide in zip(self.observed, hidden, strict=True)],
            counts=[None if x is None or hide else x for x, hide in zip(self.counts, hidden, strict=True)],
            presence=locate(mask),
        )


class MosaicDataset(Dataset[Batch]):
    """The cells of a MuData as a model reads them.

    Indexed by an array of cell positions at once (never cell by cell, which is far slower on sparse rows). Holds
    references to the MuData's matrices, not copies; writes nothing to it.

    Parameters
    ----------
    mdata
        Training or query data. A query may lack modalities as a whole and the labels; its features may come in another
        order, and its batches may be new.
    setup
        What the model expects.

    Raises
    ------
    KeyError
        A layer or the batch column is absent, or features are missing.
    ValueError
        Features that the model does not know, and all that `scmoe.model.SCMOE.setup_mudata` refuses.
    """

    def __init__(self, mdata: MuData, setup: Setup) -> None:
        here = check_mdata(mdata, known_modalities(mdata, setup))
        self.setup = setup
        self.obs_names = mdata.obs_names
        self._matrices: list[np.ndarray | sparse.csr_matrix | None] = []
        self._rows = np.full((len(setup.modalities), mdata.n_obs), -1)
        for v, name in enumerate(setup.modalities):
            if name not in here:
                self._matrices.append(None)
                continue
            check_modality(mdata, name, setup.layers[name], setup.likelihoods[name])
            check_preparation(mdata, name, setup)
            self._matrices.append(read_matrix(mdata, name, setup))
            self._rows[v] = mdata.mod[name].obs_names.get_indexer(mdata.obs_names)
        self._has_missing = [has_nan(matrix) for matrix in self._matrices]
        self.present = (self._rows >= 0).T
        if setup.batch_key is not None and setup.batch_key not in mdata.obs:
            raise KeyError(
                f"The model was trained with batch_key={setup.batch_key!r}, but mdata.obs has no such column. Add it; cells "
                "of a batch that the model does not know are decoded for the mean of its batches."
            )
        one_batch = np.zeros(mdata.n_obs, np.int64)
        self.batch = (
            encode(column_of(mdata, setup.batch_key, "batch_key"), setup.batches) if setup.batch_key else one_batch
        )
        # A query needs no labels; those of training data were checked at setup.
        labels = mdata.obs.get(setup.labels_key)
        self.label = np.full(mdata.n_obs, -1) if labels is None else encode(labels.astype(str), setup.labels)

    def __len__(self) -> int:
        return len(self.obs_names)

    def __getitem__(self, cells: np.ndarray) -> Batch:
        """Read the cells at these positions."""
        values, observed, counts = [], [], []
        for v, name in enumerate(self.setup.modalities):
            raw = self._read(v, cells)
            is_count = self.setup.likelihoods[name] in COUNT_LIKELIHOODS
            counts.append(torch.from_numpy(raw) if is_count else None)
            missing = np.isnan(raw) if self._has_missing[v] else None
            if missing is not None:
                raw[missing] = 0
            observed.append(None if missing is None else torch.from_numpy(~missing))
            values.append(torch.from_numpy(log_normalize(raw) if is_count else raw))
        return Batch(
            values,
            observed,
            counts,
            locate(torch.from_numpy(self.present[cells])),
            torch.from_numpy(self.batch[cells]),
            torch.from_numpy(self.label[cells]),
        )

    def _read(self, v: int, cells: np.ndarray) -> np.ndarray:
        """(n_v, D) float32 of modality `v`: the cells that have it."""
        matrix, rows = self._matrices[v], self._rows[v, cells]
        if matrix is None:
            return np.zeros((0, len(self.setup.feature_names[self.setup.modalities[v]])), np.float32)
        block = matrix[rows[rows >= 0]]
        return block.toarray().astype(np.float32, copy=False) if sparse.issparse(block) else block.astype(np.float32)


def known_modalities(mdata: MuData, setup: Setup) -> list[str] | None:
    """The model's modalities that `mdata` has; at least one."""
    if not isinstance(mdata, MuData):
        return None  # `check_mdata` says what is wrong with it
    here = [name for name in setup.modalities if name in mdata.mod]
    if not here:
        found = ", ".join(mdata.mod) or "none"
        raise ValueError(
            f"The data have none of the model's modalities, {', '.join(setup.modalities)}; found {found}. Rename them."
        )
    return here


def check_preparation(mdata: MuData, name: str, setup: Setup) -> None:
    """Raise if the values of a query were not prepared as those of the training data."""
    expected = setup.kinds.get(name)
    if expected is None or setup.likelihoods[name] != "gaussian":
        return
    remedy = f"Run scmoe.pp.prepare(mdata, kinds={{{name!r}: {expected!r}}}) on the raw counts first."
    found = prepared_kinds(mdata, [name]).get(name)
    if found is not None and found != expected:
        raise ValueError(
            f"mdata[{name!r}] was prepared as {found!r}, but the model learned from {expected!r}. {remedy}"
        )
    if found is None and expected != "continuous" and looks_like_counts(values_of(mdata, name, setup.layers[name])):
        where = describe_layer(setup.layers[name])
        raise ValueError(f"mdata[{name!r}].{where} holds raw counts; the model learned from prepared values. {remedy}")


def read_matrix(mdata: MuData, name: str, setup: Setup) -> np.ndarray | sparse.csr_matrix:
    """The values of a modality with the features in the model's order."""
    wanted = setup.feature_names[name]
    found = mdata.mod[name].var_names.astype(str)
    order = found.get_indexer(wanted)
    remedy = f"Subset both sides to shared features before training, e.g. mdata.mod[{name!r}] = adata[:, features]."
    if (order < 0).any():
        missing = [feature for feature, position in zip(wanted, order, strict=True) if position < 0]
        raise KeyError(
            f"mdata[{name!r}] lacks {len(missing)} of the model's {len(wanted)} features: {shorten(missing)}. {remedy}"
        )
    if len(found) > len(wanted):
        unknown = found.difference(wanted).tolist()
        raise ValueError(
            f"mdata[{name!r}] has {len(unknown)} features that the model does not know: {shorten(unknown)}. "
            f"Keep the model's: mdata.mod[{name!r}] = adata[:, model.feature_names[{name!r}]]."
        )
    matrix = values_of(mdata, name, setup.layers[name])
    if sparse.issparse(matrix):
        matrix = sparse.csr_matrix(matrix)  # no copy when it is one already
    return matrix if (order == np.arange(len(order))).all() else matrix[:, order]


def shorten(names: Sequence[str]) -> str:
    """The first few names."""
    return ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")


def has_nan(matrix: np.ndarray | sparse.csr_matrix | None) -> bool:
    """Whether any stored value is missing."""
    if matrix is None:
        return False
    return bool(np.isnan(matrix.data if sparse.issparse(matrix) else matrix).any())


def encode(column: pd.Series, categories: Sequence[str]) -> np.ndarray:
    """Codes of the strings in a column; -1: not among `categories`."""
    return pd.Index(categories).get_indexer(pd.Index(column)).astype(np.int64)
