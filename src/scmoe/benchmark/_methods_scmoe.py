"""What this package adds to the comparison: its defaults, and variants that differ in one thing."""

from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray

from scmoe.nn._config import NetworkConfig

_DEFAULT = NetworkConfig()
VARIANTS: dict[str, dict[str, Any]] = {
    "scmoe": {},
    "scmoe_dense": {"n_experts": 1, "top_k": 1, "expert_hidden": _DEFAULT.top_k * _DEFAULT.expert_hidden},
}
"""Settings of the network by method; the dense one computes as much for each token as the default."""


def embed(method: str, mdata: MuData, batch: str | None, seed: int) -> NDArray[np.floating]:
    """The joint embedding, trained on all cells."""
    return _fit(method, mdata, seed, batch_key=batch).get_latent_representation()


def predict(
    method: str, train: MuData, test: MuData, source: str, target: str, batch: str | None, seed: int
) -> NDArray[np.floating]:
    """The target of the test cells, which have the source alone."""
    return _fit(method, train, seed, batch_key=batch).impute(source, target, test)


def annotate(method: str, train: MuData, test: MuData, labels: str, seed: int) -> pd.DataFrame:
    """Probabilities of the training labels in test cells, which have no label."""
    found = _fit(method, train, seed, labels_key=labels).predict(test, soft=True)
    assert isinstance(found, pd.DataFrame)
    return found


def _fit(method: str, mdata: MuData, seed: int, **setup: Any) -> Any:
    from scmoe.model._scmoe import SCMOE

    SCMOE.setup_mudata(mdata, **setup)
    model = SCMOE(mdata, seed=seed, **VARIANTS[method])
    model.train(accelerator="cpu", enable_progress_bar=False)
    return model
