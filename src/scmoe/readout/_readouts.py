"""All readouts of a model, as one thing to keep and to save."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from scmoe.readout._annotator import Annotator
from scmoe.readout._information import Information
from scmoe.readout._linear import Linear, Mixture
from scmoe.readout._mapping_score import MappingScore
from scmoe.readout._novelty import Novelty
from scmoe.readout._spread import Spread
from scmoe.readout._subsets import Subset

Direction = tuple[Subset, int]
"""Sources, and the target that is predicted from them."""


@dataclass(kw_only=True)
class Readouts:
    """What is fitted to the outputs of the trained network, by the modalities that are looked at.

    Parameters
    ----------
    information
        Of each modality, what its components say of new cells; none in models with patch tokens, and in those of older
        versions, which read all components with trained loadings.
    mixtures
        The linear member of a prediction and the network's weight.
    spreads
        Uncertainty of a prediction.
    embeddings
        From states and component scores of some modalities to the embedding.
    familiarities
        Where the training cells of a modality are.
    annotators
        Labels, from component scores and states of some modalities.
    novelties
        Distances to labeled cells that have some modalities; of the same sets as the annotators.
    label_scale
        Factor of label probabilities that gives them the total variance of the embedding.
    label_temperature
        Of the network's own head for labels, see `scmoe.model.SCMOE.predict_supervised`.
    reference
        (R, d) places of some training cells in the embedding, for queries to be compared with; models of earlier
        versions keep none.
    """

    information: dict[Subset, Information] = field(default_factory=dict)
    mixtures: dict[Direction, Mixture] = field(default_factory=dict)
    spreads: dict[Direction, Spread] = field(default_factory=dict)
    embeddings: dict[Subset, Linear] = field(default_factory=dict)
    familiarities: dict[Subset, MappingScore] = field(default_factory=dict)
    annotators: dict[Subset, Annotator] = field(default_factory=dict)
    novelties: dict[Subset, Novelty] = field(default_factory=dict)
    label_scale: float = 1.0
    label_temperature: float = 1.0
    reference: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def n_fixed(self, n_modalities: int) -> list[int] | None:
        """Of each modality, the leading components that count; None where nothing tells."""
        if not self.information:
            return None
        return [self.information[v,].n_components if (v,) in self.information else 0 for v in range(n_modalities)]

    def counts(self, modality: int) -> np.ndarray:
        """Which components of a modality count, as 1 and 0 (K,); 1 for all, (1,), where nothing tells."""
        information = self.information.get((modality,))
        return np.ones(1, np.float32) if information is None else information.counts

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Flat, under names such as ``mixtures/0+1→2/weight``."""
        arrays = {
            f"{kind}/{to_text(key)}/{name}": array
            for kind in KINDS
            for key, part in getattr(self, kind).items()
            for name, array in part.to_arrays().items()
        }
        arrays |= {LABEL_SCALE: np.asarray(self.label_scale), LABEL_TEMPERATURE: np.asarray(self.label_temperature)}
        return {**arrays, REFERENCE: self.reference} if len(self.reference) else arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Readouts":
        """The inverse of `to_arrays`."""
        nested: dict[str, dict[Any, dict[str, np.ndarray]]] = {kind: {} for kind in KINDS}
        for path, array in arrays.items():
            if path in (LABEL_SCALE, LABEL_TEMPERATURE, REFERENCE):
                continue
            kind, key, name = path.split("/")
            nested[kind].setdefault(from_text(key), {})[name] = array
        parts: dict[str, Any] = {
            kind: {key: KINDS[kind].from_arrays(a) for key, a in group.items()} for kind, group in nested.items()
        }
        # Earlier versions have no temperature: their networks had no head for labels.
        temperature = float(arrays.get(LABEL_TEMPERATURE, np.ones(())))
        readouts = cls(**parts, label_scale=float(arrays[LABEL_SCALE]), label_temperature=temperature)
        return replace(readouts, reference=arrays[REFERENCE]) if REFERENCE in arrays else readouts


LABEL_SCALE, LABEL_TEMPERATURE, REFERENCE = "label_scale", "label_temperature", "reference"
KINDS: dict[str, Any] = {
    "information": Information,
    "mixtures": Mixture,
    "spreads": Spread,
    "embeddings": Linear,
    "familiarities": MappingScore,
    "annotators": Annotator,
    "novelties": Novelty,
}


def to_text(key: Subset | Direction) -> str:
    """``0+1`` for a subset (nothing for the empty one), ``0+1→2`` for a direction."""
    if key and isinstance(key[0], tuple):
        return f"{to_text(key[0])}→{key[1]}"
    return "+".join(map(str, key))


def from_text(text: str) -> Subset | Direction:
    """The inverse of `to_text`."""
    if "→" in text:
        sources, target = text.split("→")
        return tuple(map(int, sources.split("+"))), int(target)
    return tuple(map(int, text.split("+"))) if text else ()
