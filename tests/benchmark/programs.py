"""Variance of unseen cells that programs hold, by the number of training cells that they were computed from.

``python tests/benchmark/programs.py``: minutes and 3 GB. Simulated cells: programs of as many as make 100 MB of dense
values, and of those that sparse values are given.
"""

import numpy as np
import torch

import scmoe
from scmoe.data._dataset import MosaicDataset
from scmoe.data.sparse._features import row_squares
from scmoe.data.statistics._components import fit_components
from scmoe.data.statistics._moments import fit_moments
from scmoe.data.statistics._statistics import SMALL_LOG, SPARSE_CELLS, SVD_ENTRIES, standardized
from scmoe.studies.scale._data import simulate_cells

N_UNSEEN, N_PROGRAMS = 1000, 50
CASES = {"rna": (20_000, 0), "atac": (10, 100_000)}
"""Genes and peaks."""


def held_share(dataset: MosaicDataset, modality: int, n_cells: int) -> float:
    """Share of the variance of the last cells, of standardized values, that programs of `n_cells` others hold."""
    cells, unseen = np.arange(SPARSE_CELLS), np.arange(SPARSE_CELLS, SPARSE_CELLS + N_UNSEEN)
    known, few, new = (dataset.read_modality(modality, rows, sparse=True) for rows in (cells, cells[:n_cells], unseen))
    mean, std, _ = fit_moments(lambda: [known], len(cells), SMALL_LOG)
    z, z_new = (standardized(rows, mean, std) for rows in (few, new))
    loadings = torch.from_numpy(fit_components(z, np.ones_like(std), N_PROGRAMS, seed=0).loadings)
    return float((z_new @ loadings).square().sum() / row_squares(z_new).sum())


def main() -> None:
    torch.set_num_threads(1)
    print("| modality | features | cells | share | cells | share | ratio |\n|" + "---|" * 7)
    for name, (n_genes, n_peaks) in CASES.items():
        mdata = simulate_cells(SPARSE_CELLS + N_UNSEEN, n_genes, 0, seed=0, n_peaks=n_peaks)
        scmoe.pp.prepare(mdata, n_top_features=None)
        scmoe.model.SCMOE.setup_mudata(mdata)
        model = scmoe.model.SCMOE(mdata)
        dataset = MosaicDataset(mdata, model.setup)
        few = SVD_ENTRIES // mdata[name].n_vars
        before, now = (held_share(dataset, model.modalities.index(name), n) for n in (few, SPARSE_CELLS))
        row = f"{name} | {mdata[name].n_vars} | {few} | {before:.3f} | {SPARSE_CELLS} | {now:.3f} | {now / before:.2f}"
        print(f"| {row} |", flush=True)


if __name__ == "__main__":
    main()
