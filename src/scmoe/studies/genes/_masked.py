"""How well masked genes of held-out cells are predicted: by a pretrained model, and by what needs no network."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse
from sklearn.decomposition import PCA

from scmoe.data.genes._dataset import DEFAULT_DEPTH, hide, padded_targets
from scmoe.model.genes._encoding import BATCH_SIZE, encode, with_decoder
from scmoe.model.genes._start import masked_mean
from scmoe.model.genes._xtrimogene import XTRIMOGENE
from scmoe.studies.genes._data import log_values
from scmoe.tokens._continuous import ContinuousTokenizer
from scmoe.tokens._counts import Cells, read_cells
from scmoe.tokens._masking import MaskingPolicy

POLICY = MaskingPolicy()
"""The mask on which all models are compared, whatever they were trained with."""
N_COMPONENTS = 50
N_DRAWS = 5
"""Masks of every training cell that the ridge regression learns from."""
PENALTIES = (1.0, 10.0, 100.0, 1000.0)
CHECKED = 5
"""One training cell of so many chooses the penalty."""
MEAN, MASKED_MEAN, EXPRESSED_MEAN, COMPONENTS, RIDGE = (
    "mean of all training cells",
    "mean where masked",
    "mean of the cells that express it",
    "PCA of visible genes",
    "ridge on PCA of visible genes",
)
REFERENCES = (MEAN, MASKED_MEAN, EXPRESSED_MEAN, COMPONENTS, RIDGE)
Predictor = Callable[["Masked"], NDArray[np.float64]]


class Masked(NamedTuple):
    """Cells with some genes hidden, and these genes: one entry for each, by cell."""

    visible: Cells
    """What is left; totals are those of the whole cells."""
    position: np.ndarray
    """(n, A) positions of the masked genes; 0 where padding."""
    hidden: np.ndarray
    """(n, A) boolean: which of these exist."""
    row: np.ndarray
    gene: np.ndarray
    target: np.ndarray
    """ln(1 + 1e4 c / total)."""


def mask(adata: AnnData, seed: int, policy: MaskingPolicy = POLICY) -> Masked:
    """Hide genes, as in training; the same seed hides the same genes from every model."""
    cells = read_cells(adata)
    draw = policy.draw(cells.counts, np.random.default_rng(seed))
    position, hidden, target = padded_targets(cells.counts, draw, cells.totals)
    visible = Cells(hide(cells.counts, draw.stored), cells.totals, cells.match)
    return Masked(visible, position, hidden, np.nonzero(hidden)[0], position[hidden], target[hidden].astype(np.float64))


@torch.no_grad()
def predict(model: XTRIMOGENE, masked: Masked, depth: str = DEFAULT_DEPTH) -> NDArray[np.float64]:
    """Values of the masked genes, in the order of their entries; `depth` is for models with depth tokens."""
    out = np.zeros(masked.position.shape)
    position, hidden, network = torch.from_numpy(masked.position), torch.from_numpy(masked.hidden), with_decoder(model)
    for chunk in encode(model, masked.visible, BATCH_SIZE, depth if model.config.depth_tokens else None):
        batch, rows = chunk.batch, chunk.rows
        states = network.decode(chunk.encoded, batch.gene, position[rows], hidden[rows], batch.unknown)
        out[rows] = network.values(network.outputs(chunk.encoded, states, position[rows])).numpy()
    return out[masked.hidden]


def scores(masked: Masked, predicted: NDArray[np.float64]) -> dict[str, float]:
    """Mean squared errors of expressed genes, zeros and all; correlations over expressed genes and over all."""
    error, expressed = np.square(predicted - masked.target), masked.target > 0
    return {
        "mse": float(error.mean()),
        "mse_nonzero": float(error[expressed].mean()),
        "mse_zero": float(error[~expressed].mean()),
        "pearson": correlation(predicted, masked.target),
        "pearson_nonzero": correlation(predicted[expressed], masked.target[expressed]),
    }


def correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Pearson's; 0 where one of them does not vary."""
    x, y = x - x.mean(), y - y.mean()
    size = np.sqrt(np.square(x).sum() * np.square(y).sum())
    return float(x @ y / size) if size > 0 else 0.0


def fit_references(train: AnnData, seed: int) -> dict[str, Predictor]:
    """Predictors of masked genes that training cells give without a network, by name."""
    values = log_values(train)
    n_genes = values.shape[1]
    counts = sparse.csr_matrix(train.X)
    tokens = ContinuousTokenizer().fit(counts).transform(counts)
    expressed = values.getnnz(0)
    total = np.asarray(values.sum(0), np.float64).ravel()
    means = {
        MEAN: total / values.shape[0],
        MASKED_MEAN: masked_mean(tokens, n_genes, POLICY).astype(np.float64),
        EXPRESSED_MEAN: total / np.maximum(expressed, 1),
    }
    predictors: dict[str, Predictor] = {name: partial(_of_gene, mean) for name, mean in means.items()}
    predictors[COMPONENTS] = fit_components(values, seed)
    predictors[RIDGE] = Ridges(train, means[MASKED_MEAN], seed)
    return predictors


def _of_gene(values: NDArray[np.float64], masked: Masked) -> NDArray[np.float64]:
    return values[masked.gene]


def fit_components(values: sparse.csr_matrix, seed: int) -> Predictor:
    """Values as principal components of the visible genes give them, which are scaled up for those that are hidden."""
    pca = _components(values, seed)

    def predictor(masked: Masked) -> NDArray[np.float64]:
        back = pca.inverse_transform(pca.transform(visible_values(masked) / (1 - POLICY.nonzero_rate)))
        return np.asarray(back[masked.row, masked.gene], np.float64)

    return predictor


def visible_values(masked: Masked) -> sparse.csr_matrix:
    """ln(1 + 1e4 c / total) of the visible genes; hidden ones are 0."""
    counts = masked.visible.counts
    scale = np.repeat(1e4 / np.maximum(masked.visible.totals, 1), np.diff(counts.indptr))
    return sparse.csr_matrix((np.log1p(counts.data * scale), counts.indices, counts.indptr), counts.shape)


def _components(values: sparse.csr_matrix, seed: int) -> PCA:
    return PCA(min(N_COMPONENTS, *(n - 1 for n in values.shape)), svd_solver="arpack", random_state=seed).fit(values)


class Ridges:
    """A ridge regression for each gene, from components of the visible genes to its value where it is masked.

    It knows what a network knows: which genes are masked, not which of them are expressed, and how often masked genes
    are. It learns from masks drawn as in training, and shrinks towards the mean where masked.

    Parameters
    ----------
    train
        Training cells.
    mean
        (genes,) mean where masked.
    seed
        Of masks and components.
    """

    def __init__(self, train: AnnData, mean: NDArray[np.float64], seed: int) -> None:
        self.mean = mean
        draws = [mask(train, seed * N_DRAWS + i) for i in range(N_DRAWS)]
        self.pca = _components(visible_values(draws[0]), seed)
        z = np.concatenate([self._scores(draw)[draw.row] for draw in draws])
        gene, row = (np.concatenate([getattr(draw, name) for draw in draws]) for name in ("gene", "row"))
        excess = np.concatenate([draw.target for draw in draws]) - mean[gene]
        checked = row % CHECKED == 0
        order = np.argsort(gene, kind="stable")
        parts = np.split(order, np.searchsorted(gene[order], np.arange(1, len(mean))))
        errors = np.zeros(len(PENALTIES))
        for part in parts:
            fitted, judged = part[~checked[part]], part[checked[part]]
            weights = _solve(z[fitted], excess[fitted], PENALTIES)
            errors += np.square(z[judged] @ weights - excess[judged][:, None]).sum(0)
        best = PENALTIES[int(errors.argmin())]
        self.weights = np.concatenate([_solve(z[part], excess[part], (best,)) for part in parts], 1)

    def _scores(self, masked: Masked) -> NDArray[np.float64]:
        scores = np.asarray(self.pca.transform(visible_values(masked)), np.float64)
        return np.column_stack([scores, np.ones(len(scores))])

    def __call__(self, masked: Masked) -> NDArray[np.float64]:
        z = self._scores(masked)
        return self.mean[masked.gene] + np.einsum("nk,nk->n", z[masked.row], self.weights.T[masked.gene])


def _solve(z: NDArray[np.float64], y: NDArray[np.float64], penalties: tuple[float, ...]) -> NDArray[np.float64]:
    """Ridge weights (k, penalties)."""
    gram, target = z.T @ z, z.T @ y
    values, vectors = np.linalg.eigh(gram)
    rotated = vectors.T @ target
    return vectors @ (rotated[:, None] / (np.maximum(values, 0)[:, None] + np.asarray(penalties)))
