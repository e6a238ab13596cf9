"""One question put to several methods: which modality, and which features, make cells what the model says they are?"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mudata import MuData
from torch import Tensor, nn

from scmoe._keys import TCAV
from scmoe.explain._attribution import deletion_table
from scmoe.model._features import to_numpy
from scmoe.model._fitted import Reading, query
from scmoe.model.explain._attribution import Method
from scmoe.model.explain._deletion import SHARES, without_top
from scmoe.nn._network import Encoded, Network
from scmoe.tl._tcav import tcav

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE

N_REPEATS = 20
"""Other cells that a cell's modality is taken from."""
N_BACKGROUND = 20
"""Cells that SHAP takes absent features from."""
N_GRADIENT_SAMPLES = 200
"""Of expected gradients, SHAP's default."""
KEY = "shap"
"""Of tables that are made on the way."""


@dataclass
class Passes:
    """Cells that went through the network, and back."""

    forward: int = 0
    backward: int = 0


@dataclass
class Explanation:
    """What one method says."""

    importance: np.ndarray
    """(V,) of the modalities, not negative."""
    features: np.ndarray | None = None
    """(cells, F) what each feature adds, all modalities side by side; None: the method does not say."""
    seconds: float = 0.0
    passes: Passes = field(default_factory=Passes)


@dataclass(frozen=True, kw_only=True)
class Question:
    """Why does the model give these cells this label?

    Parameters
    ----------
    model, mdata, label
        The model, its data, in which every cell has all modalities, and the label.
    cells, background
        Positions of the cells, and of others, of any label.
    seed
        Of what is random.
    """

    model: "SCMOE"
    mdata: MuData
    label: str
    cells: np.ndarray
    background: np.ndarray
    seed: int

    def read(self, cells: np.ndarray) -> Reading:
        """Cells as the encoder sees them, all at once."""
        fitted, dataset, _ = query(self.model, self.mdata, None)
        (reading,) = fitted.read(dataset, cells, len(cells))
        return reading

    def values(self, reading: Reading) -> Tensor:
        """The log-odds of the label (n,)."""
        target = self.model.label_target(self.label)
        return target.values(self.model.fitted.encode_reading(reading, loadings=target.loadings))

    def by_modality(self, features: np.ndarray) -> np.ndarray:
        """Mean over cells of the summed sizes of what a modality's features add, (V,)."""
        edges = np.cumsum(list(map(len, self.model.feature_names.values())))[:-1]
        return np.array([np.abs(part).sum(1).mean() for part in np.split(features, edges, axis=1)])

    def left_after_deletion(self, features: np.ndarray) -> float:
        """Mean fall of the log-odds when features go, those that add most first; see `scmoe.tl.deletion`."""
        reading = self.read(self.cells)
        widths = [x.shape[1] for x in reading.z]
        scores = torch.from_numpy(features).to(reading.z[0]).split(widths, 1)
        with torch.no_grad():
            left = [self.values(reading._replace(z=z)) for z in without_top(scores, reading, SHARES)]
        _, summary = deletion_table(to_numpy(torch.stack(left, 1))[:, None], ["own"], SHARES)
        return float(summary["area"][0])


def permutation(question: Question) -> Explanation:
    """The fall of the log-odds when a modality is taken from other cells: the arbiter."""
    rng = np.random.default_rng(question.seed)
    cells, background = question.read(question.cells), question.read(question.background)
    with torch.no_grad():
        whole = question.values(cells).mean()
        falls = np.zeros(len(cells.z))
        for v in range(len(cells.z)):
            for _ in range(N_REPEATS):
                donors = torch.from_numpy(rng.integers(len(question.background), size=len(question.cells)))
                z = [background.z[u][donors] if u == v else x for u, x in enumerate(cells.z)]
                falls[v] += float(whole - question.values(cells._replace(z=z)).mean()) / N_REPEATS
    return Explanation(falls.clip(0))


def attributed(question: Question, method: Method) -> Explanation:
    """What `scmoe.tl.attribute` rests on."""
    model = question.model
    target = model.label_target(question.label)
    attributions = model.get_attributions(target, question.mdata, question.cells.tolist(), method=method)
    features = np.hstack(list(attributions.values()))
    return Explanation(question.by_modality(features), features)


def concepts(question: Question) -> Explanation:
    """TCAV: how often the log-odds rise towards cells whose only evidence is a modality's."""
    tcav(question.mdata, question.model, targets=question.label, seed=question.seed, key_added=KEY)
    table = question.mdata.uns.pop(KEY)[TCAV].set_index("concept")
    return Explanation(table["score"][question.model.modalities].to_numpy(dtype=float))


def shap_kernel(question: Question) -> Explanation:
    """Kernel SHAP, which only needs predictions; its default number of coalitions, 2 F + 2048."""
    import shap

    def explain(flat: "Flat", x: np.ndarray, background: np.ndarray) -> np.ndarray:
        explainer = shap.KernelExplainer(flat.predict, background)
        return np.asarray(explainer.shap_values(x, silent=True, l1_reg=0))

    return _cell_by_cell(question, explain)


def shap_gradient(question: Question) -> Explanation:
    """SHAP's expected gradients, which need a differentiable network."""
    import shap

    def explain(flat: "Flat", x: np.ndarray, background: np.ndarray) -> np.ndarray:
        explainer = shap.GradientExplainer(flat, torch.from_numpy(background))
        values = explainer.shap_values(torch.from_numpy(x), nsamples=N_GRADIENT_SAMPLES, rseed=question.seed)
        return np.asarray(values).reshape(1, -1)

    return _cell_by_cell(question, explain)


class Flat(nn.Module):
    """The log-odds of a label as a function of all modalities' features side by side, all else as in one cell."""

    def __init__(self, question: Question, cell: Reading) -> None:
        super().__init__()
        self.question, self.cell = question, cell

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, F) to log-odds (n, 1)."""
        batch, n = self.cell.batch, len(x)
        mask = batch.presence.mask.expand(n, -1)
        presence = batch.presence._replace(mask=mask)
        z = list(x.split([part.shape[1] for part in self.cell.z], 1))
        reading = Reading(slice(0, n), batch._replace(presence=presence), z, self.cell.covariates.expand(n, -1))
        return self.question.values(reading)[:, None]

    @torch.no_grad()
    def predict(self, x: np.ndarray) -> np.ndarray:
        """The same of arrays, (n,)."""
        chunks = torch.from_numpy(np.asarray(x, np.float32)).split(4096)
        return np.concatenate([to_numpy(self(chunk))[:, 0] for chunk in chunks])


def _cell_by_cell(question: Question, explain: Callable[[Flat, np.ndarray, np.ndarray], np.ndarray]) -> Explanation:
    background = to_numpy(torch.cat(question.read(question.background[:N_BACKGROUND]).z, 1))
    values = []
    for cell in question.cells:
        reading = question.read(np.array([cell]))
        np.random.seed(question.seed)  # SHAP draws coalitions from numpy's global generator
        values.append(explain(Flat(question, reading), to_numpy(torch.cat(reading.z, 1)), background))
    features = np.concatenate(values)
    return Explanation(question.by_modality(features), features)


@contextmanager
def counted(network: Network) -> Iterator[Passes]:
    """Count the cells that pass through a network, and those whose gradients come back."""
    passes, encode = Passes(), network.encode

    def count(gradient: Tensor) -> None:
        passes.backward += len(gradient)

    def spy(*args: Any, **kwargs: Any) -> Encoded:
        encoded = encode(*args, **kwargs)
        passes.forward += len(encoded.joint)
        if encoded.joint.requires_grad:
            encoded.joint.register_hook(count)
        return encoded

    network.encode = spy  # type: ignore[method-assign]
    try:
        yield passes
    finally:
        del network.encode


METHODS: dict[str, Callable[[Question], Explanation]] = {
    "permutation (arbiter)": permutation,
    "integrated gradients": lambda question: attributed(question, "integrated_gradients"),
    "gradient × input": lambda question: attributed(question, "gradient_input"),
    "TCAV": concepts,
    "SHAP, expected gradients": shap_gradient,
    "SHAP, kernel": shap_kernel,
}
ARBITER = "permutation (arbiter)"


def ask(question: Question, method: str) -> Explanation:
    """An explanation, with its time and passes."""
    with counted(question.model.module) as passes:
        start = time.perf_counter()
        explanation = METHODS[method](question)
        explanation.seconds = time.perf_counter() - start
    explanation.passes = passes
    return explanation
