"""How a trained model works inside: routing and attention."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from mudata import MuData

from scmoe.model._encoding import BATCH_SIZE, nan_where_absent
from scmoe.model._prediction import Prediction


class Introspection(Prediction):
    """The methods of `scmoe.model.SCMOE` that tell how the network came to its results; see `Inference`."""

    @torch.no_grad()
    def get_router_activations(
        self,
        adata: MuData | None = None,
        indices: Sequence[int] | None = None,
        kind: Literal["soft", "hard"] = "soft",
        batch_size: int = BATCH_SIZE,
    ) -> dict[str, np.ndarray]:
        """Which experts the cells use, by modality.

        Parameters
        ----------
        adata, indices
            Which cells.
        kind
            ``"soft"``: mean weight of each expert over the modality's tokens; ``"hard"``: share of the tokens' choices.
        batch_size
            Cells at once.

        Returns
        -------
        dict
            Of each modality an array (n, layers, experts) float32; rows sum to one (soft ones to less with
            ``gate="topk_of_softmax"``) and are NaN in cells that lack the modality.
        """
        if kind not in ("soft", "hard"):
            raise ValueError(f"kind must be 'soft' or 'hard'; found {kind!r}.")
        dataset, cells = self._query(adata, indices)
        c, V = self.config, len(self.modalities)
        out = np.full((V, len(cells), c.n_layers, c.n_experts), np.nan, np.float32)
        for chunk in self._encode(dataset, cells, batch_size):
            cell, modality = chunk.batch.presence.mask.cpu().numpy().nonzero()
            for layer, routing in enumerate(chunk.encoded.routing):
                gates = routing.gates()
                use = gates if kind == "soft" else (gates > 0) / c.top_k
                out[modality, chunk.rows.start + cell, layer] = use.unflatten(0, (-1, c.n_tokens)).mean(1).float().cpu()
        return dict(zip(self.modalities, out, strict=True))

    @torch.no_grad()
    def get_attention(
        self,
        adata: MuData | None = None,
        indices: Sequence[int] | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> np.ndarray:
        """How much modalities attend to each other.

        Parameters
        ----------
        adata, indices
            Which cells.
        batch_size
            Cells at once.

        Returns
        -------
        numpy.ndarray
            (n, layers, V, V) float32: attention of the tokens of a modality (third axis) to all tokens of another
            (fourth), mean over heads and query tokens. Rows sum to one; NaN in rows of absent modalities, 0 in columns.
        """
        dataset, cells = self._query(adata, indices)
        V, P = len(self.modalities), self.config.n_tokens
        out = np.full((len(cells), self.config.n_layers, V, V), np.nan, np.float32)
        for chunk in self._encode(dataset, cells, batch_size, return_attention=True):
            for layer, attention in enumerate(chunk.encoded.attention):
                blocks = attention.mean(1).unflatten(2, (V, P)).sum(3).unflatten(1, (V, P)).mean(2)
                out[chunk.rows, layer] = nan_where_absent(chunk.batch.presence.mask, blocks)
        return out
