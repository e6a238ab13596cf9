"""Mini-batches of a MuData whose cells may lack modalities and whose modalities may lack values."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import torch
from mudata import MuData
from torch import Tensor
from torch.utils.data import Dataset

from scmoe._check import check_mdata
from scmoe.data._covariates import read_covariates
from scmoe.data._fingerprint import fingerprint
from scmoe.data._match import check_covariates, check_preparation, known_modalities
from scmoe.data._presence import Presence, locate
from scmoe.data._setup import Setup, check_modality
from scmoe.data._source import Source, open_source
from scmoe.data.sparse._rows import SparseRows, Values, dense
from scmoe.datasets._categories import category_codes, category_names
from scmoe.pp._normalize import log_normalize


class ModalityRows(NamedTuple):
    """One modality of some cells, see `Batch`."""

    values: Values
    observed: Tensor | None
    counts: Tensor | None


class Batch(NamedTuple):
    """B cells; one entry a modality in the lists, with rows for the n_v cells that have it; float32 throughout."""

    values: list[Values]
    """(n_v, D) input values, 0 where missing."""
    observed: list[Tensor | None]
    """(n_v, D) which values are observed; None: all."""
    counts: list[Tensor | None]
    """(n_v, D) raw counts for a likelihood of counts; else None."""
    presence: Presence
    """Which cells have which modalities."""
    covariates: Tensor
    """(B, J) one-hot batch and further covariates, see `read_covariates`."""
    similarity: Tensor | None = None
    """(B, B) similarities of the cells in the neighbor graph; in training only."""
    label: Tensor | None = None
    """(B,) codes of labels, -1 for none; only in training that learns them."""

    @property
    def n_cells(self) -> int:
        """B."""
        return len(self.presence.mask)

    def dense(self) -> "Batch":
        """The same with all values in full."""
        return self._replace(values=[*self.dense_values()])

    def dense_values(self) -> list[Tensor]:
        """The values of each modality in full."""
        return [dense(x) for x in self.values]

    def only(self, modalities: Sequence[int]) -> "Batch":
        """The same cells without their other modalities. On the host, before the batch goes to a GPU."""
        mask = torch.zeros_like(self.presence.mask)
        mask[:, modalities] = self.presence.mask[:, modalities]

        hidden = [v not in modalities for v in range(len(self.values))]
        return self._replace(
            values=[dense(x)[:0] if hide else x for x, hide in zip(self.values, hidden, strict=True)],
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
        Training or query data. A query may lack modalities as a whole, some features, and the labels; its features may
        come in another order or under names that a column of ``var`` holds, and its batches may be new or not known.
        Features that it lacks are missing values of all its cells; features that the model does not know are not read.
        Cells of which no value was measured count as cells that lack the modality.
    setup
        What the model expects.

    Attributes
    ----------
    n_found
        Of each modality that `mdata` has, how many of the model's features are there.

    Raises
    ------
    KeyError
        A layer, or the column of a covariate that is a number, is absent.
    ValueError
        The values of a modality cannot be on the scale of the training data (see `scmoe.data._scale`). Fewer than a
        tenth of the features of a modality are there, or not all where the likelihood is one of counts;
        and all that `scmoe.model.SCMOE.setup_mudata` refuses.
    """

    def __init__(self, mdata: MuData, setup: Setup) -> None:
        here = check_mdata(mdata, known_modalities(mdata, setup))
        self.setup = setup
        self.obs_names = mdata.obs_names
        self.n_found: dict[str, int] = {}
        self._sources: list[Source | None] = [None] * len(setup.modalities)
        self._rows = np.full((len(setup.modalities), mdata.n_obs), -1)
        for name in here:
            check_modality(mdata, name, setup.layers[name], setup.likelihoods[name], allow_empty=True)
            check_preparation(mdata, name, setup)
            v = setup.modalities.index(name)
            self._sources[v] = source = open_source(mdata, name, setup)
            self.n_found[name] = source.n_found
            self._rows[v] = mdata.mod[name].obs_names.get_indexer(mdata.obs_names)
        self._drop_empty()
        self.present = (self._rows >= 0).T
        check_covariates(mdata, setup)
        self.covariates = read_covariates(mdata, setup)
        # A query needs no labels; those of training data were checked at setup.
        self.label = np.full(mdata.n_obs, -1)
        if setup.labels_key in mdata.obs:
            self.label = category_codes(category_names(mdata.obs[setup.labels_key]), setup.labels)

    def _drop_empty(self) -> None:
        """Take cells without any value of a modality for cells that lack it, unless they would have none at all."""
        rows = self._rows.copy()
        for v, source in enumerate(self._sources):
            if source is not None and source.is_empty.any():
                rows[v, (rows[v] >= 0) & source.is_empty[rows[v]]] = -1
        has_none = (rows < 0).all(0)
        self._rows = np.where(has_none, self._rows, rows)

    @property
    def notes(self) -> list[str]:
        """How values differ from those of the training data, or were brought to them, for the log."""
        return [note for source in self._sources if source is not None for note in source.notes]

    def __len__(self) -> int:
        return len(self.obs_names)

    def fingerprint(self) -> int:
        """A number that other cells, features, values, likelihoods or covariates do not have."""
        sources = [part for source in filter(None, self._sources) for part in source.arrays()]
        names = [name for modality in self.setup.modalities for name in self.setup.feature_names[modality]]
        likelihoods = [self.setup.likelihoods[modality] for modality in self.setup.modalities]
        return fingerprint(*sources, self._rows, self.covariates, names=[*names, *likelihoods])

    def __getitem__(self, cells: np.ndarray) -> Batch:
        """Read the cells at these positions."""
        return self.read(cells)

    def read(self, cells: np.ndarray, sparse: Collection[int] = ()) -> Batch:
        """Read the cells at these positions; the values of these modalities in sparse rows, where few are not zero."""
        parts = [self.read_modality(v, cells, sparse=v in sparse) for v in range(len(self.setup.modalities))]
        return Batch(
            [part.values for part in parts],
            [part.observed for part in parts],
            [part.counts for part in parts],
            locate(torch.from_numpy(self.present[cells])),
            torch.from_numpy(self.covariates[cells]),
        )

    def read_modality(self, v: int, cells: np.ndarray, *, sparse: bool = False) -> ModalityRows:
        """Read one modality of those cells at these positions that have it; see `read`."""
        source, is_count = self._sources[v], self.setup.likelihood(self.setup.modalities[v]).reads_counts
        if sparse and source is not None and source.is_sparse and not is_count:
            rows = self._rows[v, cells]
            return ModalityRows(SparseRows.of(source.read_sparse(rows[rows >= 0])), None, None)
        raw = self._read(v, cells)
        counts = torch.from_numpy(raw) if is_count else None
        missing = np.isnan(raw) if source is not None and source.has_missing else None
        if missing is not None:
            raw[missing] = 0
        values = torch.from_numpy(log_normalize(raw) if is_count else raw)
        return ModalityRows(values, None if missing is None else torch.from_numpy(~missing), counts)

    def _read(self, v: int, cells: np.ndarray) -> np.ndarray:
        """(n_v, D) float32 of modality `v`: the cells that have it; NaN where a value or a feature is missing."""
        source, rows = self._sources[v], self._rows[v, cells]
        if source is None:
            return np.zeros((0, len(self.setup.feature_names[self.setup.modalities[v]])), np.float32)
        return source.read(rows[rows >= 0])
