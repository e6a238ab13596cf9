"""Whether the code still gives what an earlier commit gave, and how much faster it is; ``nox -s unchanged`` runs it.

``python tests/model/unchanged.py write FILE`` trains small models and the demo's with the scmoe on the path, and writes
all that they say; ``... compare OLD NEW`` lists what differs; ``... time`` prints CPU seconds of what is called most.
"""

import logging
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from time import process_time
from typing import Any

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import torch
from scipy import sparse

import scmoe

NETWORK = {
    **{"n_hidden": 16, "n_heads": 2, "n_experts": 4, "n_tokens": 2, "n_programs": 8},
    **{"expert_hidden": 16, "decoder_hidden": 16},
}
TRAIN: dict[str, Any] = {"accelerator": "cpu", "batch_size": 32, "enable_progress_bar": False}
SEEDS = (0, 1, 2)
TOLERANCE = 1e-6
"""Of readouts and what rests on them; the network must be equal bit by bit."""
LOOSE = ("annotators", "novelties", "label_scale", "trust", "labels", "attribution", "gradients")
"""Parts of names of what rests on a descent that ends at a tolerance."""
REPEATS = 5


def simulated(*, mosaic: bool) -> mudata.MuData:
    """Three planted types in RNA and proteins; in the mosaic, cells lack one of them."""
    rng, n = np.random.default_rng(0), 120
    kind = rng.integers(3, size=n)
    names, parts = np.array([f"cell{i}" for i in range(n)]), {}
    for name, width, level in (("rna", 60, 0.5), ("adt", 12, 5.0)):
        rate = np.where(np.arange(width) % 3 == kind[:, None], 8 * level, level) * rng.uniform(0.7, 1.3, (n, 1))
        counts = sparse.csr_matrix(rng.poisson(rate).astype(np.float32))
        var = pd.DataFrame(index=[f"{name}{i}" for i in range(width)])
        parts[name] = ad.AnnData(counts, obs=pd.DataFrame(index=names), var=var)
    if mosaic:
        parts = {"rna": parts["rna"][np.arange(n) % 3 != 0].copy(), "adt": parts["adt"][np.arange(n) % 3 != 1].copy()}
    mdata = mudata.MuData(parts)
    i = np.array([int(name.removeprefix("cell")) for name in mdata.obs_names])
    mdata.obs["cell_type"] = pd.Categorical(np.array(["B", "NK", "T"])[kind[i]])
    mdata.obs["batch"] = pd.Categorical(np.where(i % 2, "one", "two"))
    scmoe.pp.prepare(mdata)
    return mdata


def outputs(model: Any, mdata: mudata.MuData) -> dict[str, np.ndarray]:
    """All that a model says about its cells."""
    out = {f"network/{name}": tensor.numpy() for name, tensor in model.module.state_dict().items()}
    out |= {f"readouts/{name}": np.asarray(array) for name, array in model.readouts.to_arrays().items()}
    out["embedding"] = model.get_latent_representation()
    out["state"] = model.get_latent_representation(modality="rna")
    out["mapping score"] = model.get_mapping_score()
    mean, sd = model.impute("rna", "adt", return_sd=True)
    out |= {"imputed": mean, "sd": sd, "normalized": model.get_normalized("adt")}
    out["attention"] = model.get_attention(kind="rollout")
    out |= {f"router {name}": array for name, array in model.get_router_activations().items()}
    out["ablation"] = model.get_ablation(seed=1).loss_hidden
    if model.setup.labels:
        out["labels"] = model.predict(soft=True).to_numpy()
        out["trust"] = model.get_annotation(coverage=0.8).trust
        target = model.label_target(model.setup.labels[0])
        out |= {f"attribution {name}": a for name, a in model.get_attributions(target, n_steps=2).items()}
        out["gradients"] = model.get_gradients(target, "tokens")
    return out


def everything() -> dict[str, np.ndarray]:
    """Outputs of small models, and of the demo's for some seeds."""
    out: dict[str, np.ndarray] = {}
    for mosaic in (False, True):
        for likelihood in ("gaussian", "nb"):
            mdata = simulated(mosaic=mosaic)
            keys = {"labels_key": "cell_type", "batch_key": "batch", "likelihoods": {"rna": likelihood}}
            scmoe.model.SCMOE.setup_mudata(mdata, **keys)
            model = scmoe.model.SCMOE(mdata, **NETWORK)
            model.train(4, **TRAIN)
            out |= {f"mosaic={mosaic}, {likelihood}: {name}": each for name, each in outputs(model, mdata).items()}
    for seed in SEEDS:
        mdata = scmoe.datasets.bmmc_cite()
        scmoe.pp.prepare(mdata)
        model = scmoe.tl.train(
            mdata, batch_key="batch", seed=seed, train_kwargs={"train_size": 0.8, "enable_progress_bar": False}
        )
        out |= {f"demo {seed}: {name}": each for name, each in outputs(model, mdata).items()}
    return out


def differences(old: str, new: str) -> list[str]:
    """What is not as it was."""
    before, after = np.load(old), np.load(new)
    rows = [f"| {name} | only in one |" for name in sorted(set(before) ^ set(after))]
    for name in sorted(set(before) & set(after)):
        a, b = (np.nan_to_num(np.asarray(each[name], float), nan=-7.0) for each in (before, after))
        apart = float(np.abs(a - b).max()) if a.size and a.shape == b.shape else float(a.shape != b.shape)
        # Readouts of labels end where a descent stops, which rounding moves; what they say of cells is compared.
        loose = any(
            part in name
            for part in ("annotators", "novelties", "label_scale", "trust", "labels", "attribution", "gradients")
        )
        bound = 0.0 if "network/" in name else 1e-2 if loose else TOLERANCE
        if apart > bound * max(1.0, float(np.abs(a).max(initial=0))):
            rows.append(f"| {name} | {apart:.1e} |")
    return rows


def seconds(run: Callable[[], Any]) -> float:
    """CPU seconds of the fastest of some calls."""
    spent = []
    for _ in range(REPEATS):
        start = process_time()
        run()
        spent.append(process_time() - start)
    return min(spent)


def times() -> dict[str, float]:
    """CPU seconds on one thread."""
    torch.set_num_threads(1)
    mdata = scmoe.datasets.bmmc_cite()
    scmoe.pp.prepare(mdata)
    scmoe.model.SCMOE.setup_mudata(mdata, batch_key="batch", labels_key="cell_type")
    model = scmoe.model.SCMOE(mdata)
    model.train(2, **TRAIN)
    out = {
        "tl.embed": seconds(lambda: scmoe.tl.embed(mdata, model)),
        "tl.map_query": seconds(lambda: scmoe.tl.map_query(mdata, model)),
    }
    fitting = import_module("scmoe.model._fit_readouts")

    def fit(some: Any) -> None:
        known = some.train_indices, some.validation_indices, "inverse"
        fitting.fit_readouts(getattr(some, "fitted", some), some._dataset(None), *known)

    out["readouts with labels"] = seconds(lambda: fit(model))
    cells = scmoe.datasets.simulate_grn(n_cells=400, seed=0)
    scmoe.pp.prepare(cells)
    scmoe.model.SCMOE.setup_mudata(cells, modalities=list(cells.mod)[:3])
    three = scmoe.model.SCMOE(cells)
    three.train(1, **TRAIN)
    out["readouts of three modalities"] = seconds(lambda: fit(three))
    return out


def main(task: str, *paths: str) -> int:
    """Run a task."""
    logging.getLogger("scmoe").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    if task == "write":
        np.savez(paths[0], **everything())
        return 0
    if task == "time":
        for name, cpu in times().items():
            print(f"| {name} | {cpu:.3f} |")
        return 0
    rows = differences(*paths)
    print("\n".join(rows) or "Nothing differs.")
    return len(rows)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
