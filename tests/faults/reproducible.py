"""Whether the same input gives the same result, and whether memory stays: ``python tests/faults/reproducible.py``.

Each row trains a tiny model on the same data, in processes of their own, and compares its embedding with that of the
first process: under other hash seeds, with two threads, and with the cells in another order. The last row trains fifty
models in one process. The table has what came out beside what is asked for.
"""

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

HERE = Path(__file__).resolve().parent
PAGE = os.sysconf("SC_PAGE_SIZE")
TRAININGS, SETTLED = 50, 5
MEMORY = f"resident memory after {TRAININGS} trainings over that after {SETTLED}"


class Row(NamedTuple):
    """One measure, what it may be at most, and whether it is."""

    measure: str
    value: float
    most: float

    def __str__(self) -> str:
        met = "yes" if self.value <= self.most else "**no**"
        return f"| {self.measure} | {self.value:.3g} | {self.most:.3g} | {met} |"


def embed(path: Path, *, order: int = 0, threads: int = 1, trained: bool = True) -> None:
    """Train, and write the embedding of the cells in their usual order; a process of its own runs it.

    With `trained`, cells are permuted before the training by the seed `order`; otherwise between training and use.
    """
    import torch
    from battery.world import SETUP, fit, quiet, raw

    import scmoe

    torch.set_num_threads(threads)
    with quiet():
        mdata = raw()
        scmoe.pp.prepare(mdata)
        cells = mdata.obs_names
        permuted = cells[np.random.default_rng(order).permutation(len(cells))] if order else cells
        other = mdata[permuted].copy()
        model = fit(other if trained else mdata, setup=SETUP, max_epochs=5)
        rows = other.obs_names.get_indexer(cells)
        np.save(path, model.get_latent_representation(other)[rows])


def run(name: str, folder: Path, *, hash_seed: int = 0, **options: int | bool) -> np.ndarray:
    """The embedding from a process of its own."""
    path = folder / f"{name}.npy"
    arguments = ", ".join(f"{key}={value!r}" for key, value in options.items())
    code = f"import sys; sys.path.insert(0, {str(HERE)!r}); from pathlib import Path; import reproducible; "
    code += f"reproducible.embed(Path({str(path)!r}), {arguments})"
    threads = str(options.get("threads", 1))
    env = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "OMP_NUM_THREADS": threads}
    subprocess.run([sys.executable, "-c", code], env=env, check=True, stdout=subprocess.DEVNULL)
    return np.load(path)


def rows(folder: Path) -> Iterator[Row]:
    """Largest differences of embeddings, each beside what is asked for."""
    first = run("first", folder)

    def difference(name: str, **options: int | bool) -> float:
        return float(np.abs(run(name, folder, **options) - first).max())

    yield Row("another process, difference", difference("again"), 0)
    yield Row("hash seed 1, difference", difference("hash1", hash_seed=1), 0)
    yield Row("hash seed 2, difference", difference("hash2", hash_seed=2), 0)
    yield Row("two threads, difference", difference("threads", threads=2), 1e-4)
    yield Row("cells in another order after training", difference("used", order=1, trained=False), 1e-4)
    yield Row("cells in another order before training", difference("trained", order=1), 1e-4)
    yield Row("size of the embedding, for comparison", float(np.abs(first).max()), np.inf)


def resident() -> float:
    """Resident memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6


def memory() -> Row:
    """Train many models, one after the other."""
    from battery.world import fit, quiet, raw

    import scmoe

    sizes = []
    for _ in range(TRAININGS):
        with quiet():
            mdata = raw()
            scmoe.pp.prepare(mdata)
        fit(mdata)
        del mdata
        gc.collect()
        sizes.append(resident())
    print(f"<!-- MB after {SETTLED}, 10, 20 ... trainings: {sizes[SETTLED - 1]:.0f}, {sizes[9::10]} -->")
    return Row(MEMORY, sizes[-1] / sizes[SETTLED - 1], 1.05)


def held() -> Row:
    """Count the data sets that are still in memory when nobody has them or their models any more."""
    from battery.world import fit, quiet, raw

    import scmoe

    data = []
    for _ in range(3):
        with quiet():
            mdata = raw()
            scmoe.pp.prepare(mdata)
        fit(mdata, max_epochs=1)
        data.append(weakref.ref(mdata))
        del mdata
    gc.collect()
    return Row("data sets in memory, of 3 that are let go", sum(each() is not None for each in data), 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--source", type=Path, default=HERE.parents[1] / "src", help="src folder of the version to test"
    )
    source = parser.parse_args().source.resolve()
    sys.path[:0] = [str(HERE), str(source)]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(source), os.environ.get("PYTHONPATH", "")])
    print("| measure | value | at most | met |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(Path(folder)):
            print(row, flush=True)
    print(held(), flush=True)
    print(memory())


if __name__ == "__main__":
    main()
