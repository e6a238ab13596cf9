"""How far the labels of cells can be trusted."""

from collections.abc import Sequence
from numbers import Real
from typing import NamedTuple

import numpy as np
import torch
from mudata import MuData

from scmoe.metrics._calibration import coverage_accuracy
from scmoe.model._encoding import BATCH_SIZE
from scmoe.model._inference import Inference
from scmoe.readout._subsets import Subset, nearest_subset
from scmoe.readout._trust import label_trust


class Annotation(NamedTuple):
    """Labels of cells, with what speaks for and against them."""

    probability: np.ndarray
    """(n, labels) float32, as `scmoe.model.SCMOE.predict` returns."""
    unknown_score: np.ndarray
    """(n,) float32, as `scmoe.model.SCMOE.get_unknown_score` returns."""
    trust: np.ndarray
    """(n,) float32 in (0, 1]: a share c of held-out cells of known types is above 1 - c."""
    expected_accuracy: np.ndarray
    """(n,) float32: accuracy among the held-out cells with the same modalities that would keep their label."""


class Annotating(Inference):
    """The methods of `scmoe.model.SCMOE` that say whether labels can be trusted."""

    @torch.no_grad()
    def get_annotation(
        self,
        adata: MuData | None = None,
        indices: Sequence[int] | None = None,
        batch_size: int = BATCH_SIZE,
        *,
        coverage: float = 1.0,
    ) -> Annotation:
        """Probabilities of labels, unknown scores, and a trust in the labels that is made of both.

        Parameters
        ----------
        adata, indices
            Which cells; their own labels are not looked at.
        batch_size
            Cells at once.
        coverage
            Share of cells of known types that are to keep their label: those whose trust is above 1 - coverage. The accuracy expected
            of them is that of labeled training cells, each held out from the fit of the labels; see `scmoe.metrics.coverage_accuracy`.

        Returns
        -------
        Annotation
            Arrays with a row for each cell; all but the probabilities are NaN where no label has two training cells.

        Raises
        ------
        ValueError
            The model was trained without labels, or `coverage` is not in (0, 1].
        """
        if not isinstance(coverage, Real) or not 0 < coverage <= 1:
            raise ValueError(
                f"coverage must be above 0 and at most 1; found {coverage!r}. 0.9 keeps nine labels in ten."
            )
        n_labels = len(self._labels())
        dataset, cells = self._query(adata, indices)
        expected = {subset: self._expected_accuracy(subset, coverage) for subset in self.readouts.novelties}
        out = Annotation(
            np.empty((len(cells), n_labels), np.float32), *(np.empty(len(cells), np.float32) for _ in range(3))
        )
        for chunk in self._encode(dataset, cells, batch_size):
            probability, embedded = self._label_probabilities(chunk), self._embedding(chunk)
            out.probability[chunk.rows] = probability
            for seen, positions in chunk.groups():
                known = nearest_subset(seen, self.readouts.novelties)
                assert known is not None  # there is one for each annotator
                novelty, rows = self.readouts.novelties[known], chunk.rows.start + positions
                distance = novelty.distance(embedded[positions])
                confidence = probability[positions].max(1)
                out.unknown_score[rows] = novelty.rank(distance)
                out.trust[rows] = label_trust(self.readouts.annotators[known], novelty, confidence, distance)
                out.expected_accuracy[rows] = expected[known]
        return out

    def get_unknown_score(
        self, adata: MuData | None = None, indices: Sequence[int] | None = None, batch_size: int = BATCH_SIZE
    ) -> np.ndarray:
        """How unlike the labeled types cells are: the score of types that the model has never seen.

        In the leading 20 axes of the joint embedding, the squared Mahalanobis distance to the nearest type (one covariance within
        all types) plus that to all labeled cells; then its rank among labeled training cells, each held out from the fit. 0.95: 95 %
        of the cells of known types are nearer, so one in twenty of these is above it. It does not look at the probabilities of labels,
        which can be high in new types.

        Parameters
        ----------
        adata, indices
            Which cells.
        batch_size
            Cells at once.

        Returns
        -------
        numpy.ndarray
            (n,) float32 in (0, 1], high for cells that are of no known type; NaN where no label has two training cells.

        Raises
        ------
        ValueError
            The model was trained without labels.

        Notes
        -----
        Class-conditional distances with one covariance: Lee et al. 2018,
        `doi:10.48550/arXiv.1807.03888 <https://doi.org/10.48550/arXiv.1807.03888>`__.
        """
        return self.get_annotation(adata, indices, batch_size).unknown_score

    def _expected_accuracy(self, subset: Subset, coverage: float) -> float:
        """Accuracy of the held-out cells that keep their label; NaN without such cells."""
        annotator, novelty = self.readouts.annotators[subset], self.readouts.novelties[subset]
        if not len(annotator.truth):
            return float("nan")
        names = np.array(self.setup.labels, object)
        trust = label_trust(annotator, novelty, annotator.confidence, novelty.held_out)
        table = coverage_accuracy(names[annotator.truth], names[annotator.predicted], trust, labels=self.setup.labels)
        return float(table.loc[table["threshold"] > 1 - coverage, "accuracy"].iloc[-1])
