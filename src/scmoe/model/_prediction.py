"""Predicting the features of a modality: from other modalities, or without noise and batch effects."""

from collections.abc import Sequence
from typing import Literal, overload

import numpy as np
import torch
from mudata import MuData
from torch import Tensor

from scmoe.model._annotation import Annotating
from scmoe.model._encoding import BATCH_SIZE, Chunk, Part
from scmoe.model._features import apply, as_batch, cross_scores, decoded, linear_inputs, to_numpy
from scmoe.readout._spread import Spread
from scmoe.readout._subsets import Subset, nearest_subset


class Prediction(Annotating):
    """The methods of `scmoe.model.SCMOE` that decode; see `Inference`."""

    @overload
    def impute(
        self,
        source: str | Sequence[str],
        target: str,
        adata: MuData | None = ...,
        indices: Sequence[int] | None = ...,
        batch_size: int = ...,
        *,
        part: Part = ...,
        transform_batch: str | Sequence[str] | None = ...,
        return_sd: Literal[False] = ...,
    ) -> np.ndarray: ...

    @overload
    def impute(
        self,
        source: str | Sequence[str],
        target: str,
        adata: MuData | None = ...,
        indices: Sequence[int] | None = ...,
        batch_size: int = ...,
        *,
        part: Part = ...,
        transform_batch: str | Sequence[str] | None = ...,
        return_sd: Literal[True],
    ) -> tuple[np.ndarray, np.ndarray]: ...

    @torch.no_grad()
    def impute(
        self,
        source: str | Sequence[str],
        target: str,
        adata: MuData | None = None,
        indices: Sequence[int] | None = None,
        batch_size: int = BATCH_SIZE,
        *,
        part: Part = "mixture",
        transform_batch: str | Sequence[str] | None = None,
        return_sd: bool = False,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Predict the features of a modality from others.

        The target is absent from the input, even of cells that have it.

        Parameters
        ----------
        source
            The modality or modalities to look at; a cell may lack some of them.
        target
            The modality to predict.
        adata, indices
            Which cells.
        batch_size
            Cells at once.
        part
            ``"mixture"``: ridge regression and network, with the weight of `mixture_weight`; or one of the two alone.
            Targets with a likelihood of counts, and models with patch tokens, have the network only.
        transform_batch
            Predict as if the cells were of this batch, or the mean over several; None: of their own.
        return_sd
            Whether to return standard deviations as well.

        Returns
        -------
        numpy.ndarray, or two of them
            (n, features) float32 in the units of the target's values; for count likelihoods the expected count at the
            median total of the training cells, for ``"bernoulli"`` the probability. NaN in cells without any source. With
            `return_sd`, second, the standard deviation of a value around its prediction, in the same units: about 90 % of
            the values of cells like the training cells lie within ± 1.645 of them (of each feature; for one cell it may
            be more or fewer); NaN if the model was trained without validation cells, so that errors are unknown.

        Raises
        ------
        KeyError
            A modality or batch that the model does not have.
        ValueError
            The target is among the sources, there is no source, no cell has one, or no training cell had source and target;
            `part` is unknown, ``"linear"`` where there is none, or not the mixture with `return_sd`.
        """
        sources, t = self._direction(source, target)
        self._check_part(part)
        self._check_linear(part, sources, t)
        names = " or ".join(self.modalities[v] for v in sources)
        if self._spread_of(sources, t) is None:
            raise ValueError(
                f"No training cell had {target!r} together with {names}, so the model cannot have learned to predict one from the "
                "other. Train with cells that have both."
            )
        if return_sd and part != "mixture":
            raise ValueError(
                f"Standard deviations are those of part='mixture'; found part={part!r}. Leave one of them out."
            )
        dataset, cells = self._query(adata, indices)
        if len(cells) and not dataset.present[cells][:, list(sources)].any():
            raise ValueError(f"None of the {len(cells)} cells has {names}, so nothing can be predicted from it.")
        batches = self._batches(transform_batch)
        mean = np.full((len(cells), len(self.feature_names[target])), np.nan, np.float32)
        sd = np.full_like(mean, np.nan) if return_sd else mean
        for chunk in self._encode(dataset, cells, batch_size, only=sources):
            values = self._predicted_values(chunk, sources, t, part, batches)
            for seen, positions in chunk.groups():
                rows = chunk.rows.start + positions
                if seen:
                    mean[rows] = values[positions]
                if seen and return_sd and (spread := self._spread_of(seen, t)) is not None:
                    sd[rows] = spread.predict(values[positions])
        return (mean, sd) if return_sd else mean

    @torch.no_grad()
    def get_normalized(
        self,
        modality: str,
        adata: MuData | None = None,
        indices: Sequence[int] | None = None,
        batch_size: int = BATCH_SIZE,
        *,
        transform_batch: str | Sequence[str] | None = None,
    ) -> np.ndarray:
        """The features of a modality as the model sees them: without noise, and if wished without batch effects.

        Decoded from the modality's own state, which has looked at all modalities of the cell. To predict a modality from
        others alone, use `impute`.

        Parameters
        ----------
        modality
            Its name.
        adata, indices
            Which cells.
        batch_size
            Cells at once.
        transform_batch
            Decode as if the cells were of this batch, or the mean over several; None: of their own.

        Returns
        -------
        numpy.ndarray
            (n, features) float32, units as in `impute`; NaN in cells that lack the modality.

        Raises
        ------
        KeyError
            A modality or batch that the model does not have.
        """
        v = self._position(modality)
        dataset, cells = self._query(adata, indices)
        out = np.full((len(cells), len(self.feature_names[modality])), np.nan, np.float32)
        decoder = self.module.decoders[v]
        for chunk in self._encode(dataset, cells, batch_size):
            values = [
                decoded(self.module, decoder.scores(chunk.encoded.states[:, v], known, own=True), v)
                for known in self._as_batches(chunk, self._batches(transform_batch))
            ]
            here = dataset.present[cells[chunk.rows], v]
            out[chunk.rows][here] = to_numpy(torch.stack(values).mean(0))[here]
        return out

    def mixture_weight(self, source: str | Sequence[str], target: str) -> float:
        """Weight of the network in its mixture with ridge regression, from 0 to 1.

        Fitted on validation cells: what the experts add to a linear model in this direction. 1 without a linear model.

        Parameters
        ----------
        source, target
            As in `impute`.
        """
        sources, t = self._direction(source, target)
        key = self._mixture_of(sources, t)
        return 1.0 if key is None else self.readouts.mixtures[key, t].weight

    def _direction(self, source: str | Sequence[str], target: str) -> tuple[Subset, int]:
        names = [source] if isinstance(source, str) else list(source)
        sources, t = sorted(self._position(name) for name in names), self._position(target)
        if not sources or t in sources:
            raise ValueError(
                f"Predicting {target!r} needs source modalities other than itself; found {names}. "
                f"Choose from {[m for m in self.modalities if m != target]}."
            )
        return tuple(sources), t

    def _check_linear(self, part: str, sources: Subset, target: int) -> None:
        if part == "linear" and self._mixture_of(sources, target) is None:
            raise ValueError(
                f"There is no linear member for {self.modalities[target]!r}: it needs a Gaussian likelihood and program tokens."
            )

    def _mixture_of(self, sources: Subset, target: int) -> Subset | None:
        return nearest_subset(sources, [known for known, t in self.readouts.mixtures if t == target])

    def _spread_of(self, sources: Subset, target: int) -> Spread | None:
        known = nearest_subset(sources, [known for known, t in self.readouts.spreads if t == target])
        return None if known is None else self.readouts.spreads[known, target]

    def _predicted_values(
        self, chunk: Chunk, sources: Subset, target: int, part: str = "mixture", batches: Sequence[int | None] = (None,)
    ) -> np.ndarray:
        """Predicted values (B, D), the mean over batches, of cells encoded from the sources alone; `impute` checks more."""
        values = [
            decoded(self.module, self._predicted_scores(chunk, sources, target, part, known), target)
            for known in self._as_batches(chunk, batches)
        ]
        return to_numpy(torch.stack(values).mean(0))

    def _predicted_scores(self, chunk: Chunk, sources: Subset, target: int, part: str, covariates: Tensor) -> Tensor:
        """Program scores (B, K) of the target, as the members of the mixture say."""
        scores = cross_scores(self.module, chunk, sources, target, covariates)
        if part == "network":
            return scores
        for seen, positions in chunk.groups():
            known = self._mixture_of(seen, target)
            if known is None:
                continue
            mixture = self.readouts.mixtures[known, target]
            weight = 0.0 if part == "linear" else mixture.weight
            if weight < 1:
                rows = torch.from_numpy(positions).to(scores.device)
                linear = apply(mixture.linear, linear_inputs(self.module, chunk, known, covariates)[rows])
                scores = scores.index_copy(0, rows, (1 - weight) * linear + weight * scores[rows])
        return scores

    def _batches(self, transform_batch: str | Sequence[str] | None) -> list[int | None]:
        if transform_batch is None:
            return [None]
        names = [transform_batch] if isinstance(transform_batch, str) else list(transform_batch)
        if not names:
            raise ValueError("transform_batch must name at least one batch, or be None; found none.")
        for name in names:
            if name not in self.setup.batches:
                raise KeyError(f"This model has no batch {name!r}; it has {', '.join(self.setup.batches) or 'none'}.")
        return [self.setup.batches.index(name) for name in names]

    def _as_batches(self, chunk: Chunk, batches: Sequence[int | None]) -> list[Tensor]:
        """Covariates (B, J) of the cells, as if they were of each of the batches."""
        return [as_batch(chunk.covariates, len(self.setup.batches), batch) for batch in batches]
