"""How many principal components of a modality say something about cells that they were not computed from."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

EXCESS = 1.1
"""A component explains a tenth more of the variance that is left than it does in permuted values."""
REPRODUCED = 0.25
"""Of its variance in the cells that it is computed from, in others; below that it is noise that was fitted."""
N_PERMUTATIONS = 2
N_FOLDS = 5
MIN_CELLS = 3
"""Fewer leave nothing to compare."""
SMALLEST = 1e-12
"""Variances count as at least this much in a ratio."""
HALF_WEIGHT = 2.0
"""Nats of a modality that counts half as much as one that says all."""
MIN_INFORMATION = 1e-3
"""Nats that a component which counts says at least: the first one does, whatever it says."""


@dataclass(frozen=True, kw_only=True)
class Information:
    """What the components of a modality say.

    Parameters
    ----------
    nats
        (K,): ½ log of the excess of each leading component that counts, see `fit_information`; 0 for the others.
    """

    nats: np.ndarray

    @property
    def n_components(self) -> int:
        """How many leading components count."""
        return int((self.nats > 0).sum())

    @property
    def weight(self) -> float:
        """What the modality counts beside others, in (0, 1): I / (I + 2) for I nats of all components together.

        Modalities that say much count alike, however much it is; one of little but noise counts little.
        """
        total = float(self.nats.sum())
        return total / (total + HALF_WEIGHT)

    @property
    def counts(self) -> np.ndarray:
        """(K,) float32: 1 for components that count, 0 for the others."""
        return (self.nats > 0).astype(np.float32)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` needs."""
        return {"nats": self.nats}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Information":
        """The inverse of `to_arrays`."""
        return cls(**arrays)


def fit_information(values: np.ndarray, n_components: int, seed: int) -> Information:
    r"""Find the leading components that reproduce.

    Two questions are asked of component k. How much of the variance that the components before it leave does it
    explain, as a multiple of what it explains after each feature was permuted on its own (parallel analysis, Horn 1965,
    of shares of what is left)? And how much variance have cells along it that it was not computed from (five folds), as
    a share of that of the cells that it was computed from? Components count up to the first for which the multiple is
    no more than 1.1 or the share no more than ¼. One counts at least.

    Parameters
    ----------
    values
        (n, D) values of training cells, centered, as components are computed from them.
    n_components
        K, components that there are.
    seed
        Of permutations and folds.

    Notes
    -----
    Horn 1965, `doi:10.1007/BF02289447 <https://doi.org/10.1007/BF02289447>`__. All is computed from the inner products
    of cells, (n, n): the right singular vectors are never needed.
    """
    nats = np.zeros(n_components)
    nats[0] = MIN_INFORMATION
    if len(values) < MIN_CELLS:
        return Information(nats=nats)
    values = np.asarray(values, np.float64)
    rng = np.random.default_rng(seed)
    products = values @ values.T
    variance = _leading_variance(products, n_components)
    permuted = [rng.permuted(values, axis=0) for _ in range(N_PERMUTATIONS)]
    # Mean of singular values, not of their squares.
    roots = [np.sqrt(_leading_variance(x @ x.T, n_components)) for x in permuted]
    chance = np.square(np.mean(roots, axis=0))
    total = float(products.trace())
    excess = _share_of_rest(variance, total) / np.maximum(_share_of_rest(chance, total), SMALLEST)
    counts = (excess > EXCESS) & (_reproduced(products, len(variance), rng) > REPRODUCED)
    n = max(int(np.argmin(np.append(counts, False))), 1)
    nats[:n] = np.maximum(np.log(np.maximum(excess[:n], SMALLEST)) / 2, MIN_INFORMATION)
    return Information(nats=nats)


def _leading(products: np.ndarray, n_components: int) -> tuple[np.ndarray, np.ndarray]:
    """Largest eigenvalues of inner products (n, n), falling, and their vectors: of at most K, and n - 1."""
    values, vectors = eigh(products, subset_by_index=_last(products, n_components))
    return np.maximum(values[::-1], 0), vectors[:, ::-1]


def _leading_variance(products: np.ndarray, n_components: int) -> np.ndarray:
    """The same without the vectors, which take most of the time."""
    values = eigh(products, subset_by_index=_last(products, n_components), eigvals_only=True)
    return np.asarray(np.maximum(values[::-1], 0))


def _last(products: np.ndarray, n_components: int) -> list[int]:
    """First and last position of the largest eigenvalues, which rise."""
    return [len(products) - min(n_components, len(products) - 1), len(products) - 1]


def _share_of_rest(variance: np.ndarray, total: float) -> np.ndarray:
    """Share that each component has of the variance that those before it leave."""
    before = np.concatenate([[0], np.cumsum(variance)[:-1]])
    return np.asarray(variance / np.maximum(total - before, SMALLEST * max(total, 1)))


def _reproduced(products: np.ndarray, n_components: int, rng: np.random.Generator) -> np.ndarray:
    """Variance along each component of cells that it was not computed from, as a share of that of the others."""
    fold = rng.permutation(len(products)) % N_FOLDS
    of_others, own = np.zeros(n_components), np.zeros(n_components)
    for f in range(N_FOLDS):
        out = fold == f
        variance, vectors = _leading(products[np.ix_(~out, ~out)], n_components)
        # Scores of a cell: its inner products with the fitted cells, times their vectors, over singular values.
        scores = products[np.ix_(out, ~out)] @ (vectors / np.sqrt(np.maximum(variance, SMALLEST)))
        of_others[: len(variance)] += np.square(scores).sum(0)
        own[: len(variance)] += variance * out.sum() / (~out).sum()
    return np.asarray(of_others / np.maximum(own, SMALLEST))
