"""Time and memory of a pretraining on many files that stay on disk.

``python tests/benchmark/pretraining.py [FILES] [CELLS A FILE]``: by default ten files of 100,000 cells and 2,000 genes,
500 steps of 64 cells. One file is simulated and the others are copies of it: time and memory do not depend on what
cells are like. Files and caches go into a temporary folder; a million cells take 10 GB.
"""

import shutil
import sys
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import scmoe
from scmoe.studies.scale._data import simulate_cells
from scmoe.studies.scale._memory import anonymous_memory, measured

N_GENES, N_STEPS = 2000, 500


def write(path: Path, n_cells: int, seed: int) -> None:
    """One file, by a process of its own, whose memory is not that of the training."""
    scmoe.datasets.write(simulate_cells(n_cells, N_GENES, 0, seed)["rna"], path)


def main(n_files: int = 10, n_cells: int = 100_000) -> None:
    """Write the files, pretrain on them, and print phases."""
    with TemporaryDirectory() as folder:
        first = Path(folder) / "0.h5ad"
        process = get_context("spawn").Process(target=write, args=(first, n_cells, 0))
        process.start()
        process.join()
        for i in range(1, n_files):
            shutil.copy(first, first.with_name(f"{i}.h5ad"))
        small = scmoe.datasets.bmmc_cite()["rna"].copy()  # loads the libraries
        kwargs = {"enable_progress_bar": False, "accelerator": "cpu"}
        scmoe.tl.pretrain(small, max_epochs=1, train_kwargs=kwargs)
        start, phases = anonymous_memory(), {}
        with measured(phases, "read"):
            adata = scmoe.tokens.read_files(folder, on_disk=True)
        scmoe.model.XTRIMOGENE.setup_anndata(adata)
        model = scmoe.model.XTRIMOGENE(adata)
        with measured(phases, "train"):
            model.train(1, max_steps=N_STEPS, train_size=0.99, validation_size=0.001, **kwargs)
        for name, phase in phases.items():
            peak = phase["peak"] - start
            print(f"{adata.n_obs:,} cells, {name}: {phase['cpu']:.0f} s of CPU, {peak:,.0f} MiB above the libraries")
        print(f"loss of masked genes: {model.history.iloc[-1].to_dict()}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
