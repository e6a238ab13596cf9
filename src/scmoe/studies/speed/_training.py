"""Training: sparse against dense, trainer against a bare loop, and the loading of batches."""

import copy
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from mudata import MuData
from scipy import sparse
from torch import Tensor, nn

from scmoe.data._dataset import Batch, MosaicDataset
from scmoe.model._scmoe import SCMOE
from scmoe.model._training import prepare_network
from scmoe.nn._network import Network
from scmoe.nn._router import Routing
from scmoe.pp._prepare import prepare
from scmoe.studies.speed._data import simulate, to_mudata
from scmoe.studies.speed._engine import HIDDEN, TOP_K, WIDTH, LoopExperts, dense_layer
from scmoe.studies.speed._timing import Row, Settings, compare, interleaved
from scmoe.train._config import TrainConfig
from scmoe.train._objective import objective

STEP_BAR = 1.2
OVERHEAD_BAR = 1.0
LOADED = 128
"""Cells a batch when loading is measured, the default of `SCMOE.train`."""


class DenseMoE(nn.Module):
    """In place of `SparseMoE`: a dense layer as wide as the chosen experts together, all tokens on one "expert"."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = dense_layer(WIDTH, TOP_K * HIDDEN)

    def forward(self, x_Td: Tensor, modality_T: Tensor, context_Td: Tensor | None = None) -> tuple[Tensor, Routing]:
        """Tokens (T, d) to (T, d), and a routing that says nothing."""
        one = x_Td.new_ones(len(x_Td), 1)
        return self.layer(x_Td), Routing(one, one.long() - 1, one, one, None)


def bare_step(network: Network, config: TrainConfig) -> Callable[[Batch], None]:
    """What has to be done in a step, and nothing else: loss, gradient, clipping, update, running average."""
    parameters: list[Tensor] = list(network.parameters())
    average = [parameter.detach().clone() for parameter in parameters]
    optimizer = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=True)

    def run(batch: Batch) -> None:
        optimizer.zero_grad()
        objective(network, batch, config)["loss"].backward()
        nn.utils.clip_grad_norm_(parameters, config.gradient_clip)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, parameters, 1 - config.ema)

    return run


def step_model(settings: Settings) -> SCMOE:
    """A trained model of the size that the bars were set for, on two dense modalities of noise."""
    rng = np.random.default_rng(0)
    shape = (16 * settings.step_batch, settings.step_features)
    mdata = to_mudata({name: rng.standard_normal(shape, np.float32) for name in ("a", "b")})
    SCMOE.setup_mudata(mdata)
    model = SCMOE(mdata, n_hidden=WIDTH, expert_hidden=HIDDEN, n_experts=16, top_k=TOP_K)
    train(model, settings, 1, [])
    return model


def train(model: SCMOE, settings: Settings, epochs: int, callbacks: list[Callback]) -> None:
    """Train on all cells, without the show."""
    model.train(
        epochs,
        batch_size=settings.step_batch,
        train_size=1.0,
        callbacks=callbacks,
        accelerator="cpu",
        enable_progress_bar=False,
    )


def measure_step(settings: Settings, model: SCMOE) -> list[Row]:
    """The network beside itself with a dense layer, and with a loop over experts."""
    cells = np.arange(settings.step_batch)
    batch = MosaicDataset(model.adata, model.setup)[cells]
    networks = {name: copy.deepcopy(model.module).train() for name in ("scmoe", "dense", "loop")}
    for block in networks["dense"].blocks:
        block.moe = DenseMoE()  # type: ignore[assignment]
    for block in networks["loop"].blocks:
        block.moe.experts = LoopExperts(block.moe.experts)  # type: ignore[assignment]
    steps = {name: bare_step(network, TrainConfig()) for name, network in networks.items()}
    times = interleaved({name: partial(step, batch) for name, step in steps.items()}, settings.rounds)
    case = f"2 modalities x {settings.step_features} features, {len(cells)} cells"
    dense = "same network, dense layer of equal active size"
    return [
        compare("training step", case, times["scmoe"], times["dense"], dense, bar=STEP_BAR),
        compare("training step", case, times["scmoe"], times["loop"], "same network, loop over experts"),
    ]


def measure_sparse(settings: Settings) -> list[Row]:
    """Steps on sparse rows beside the same on dense values, reading included."""
    return [_measure_sparse(settings, n_genes) for n_genes in settings.sparse_features]


def _measure_sparse(settings: Settings, n_genes: int) -> Row:
    mdata = simulate(settings.sparse_batch, genes=n_genes)
    prepare(mdata, n_top_features=None)
    SCMOE.setup_mudata(mdata)
    model = SCMOE(mdata)
    dataset, cells = MosaicDataset(mdata, model.setup), np.arange(settings.sparse_batch)
    prepare_network(model, dataset, cells, TrainConfig(graph_weight=0))
    sparse_step, dense_step = (bare_step(copy.deepcopy(model.module).train(), TrainConfig()) for _ in range(2))
    functions = {
        "sparse": lambda: sparse_step(dataset.read(cells, model.module.sparse_inputs)),
        "dense": lambda: dense_step(dataset[cells]),
    }
    times = interleaved(functions, settings.rounds)
    case = f"{n_genes} genes, {len(cells)} cells"
    return compare("training step", case, times["sparse"], times["dense"], "the same on dense values")


class BareEpochs(Callback):
    """After each epoch of the trainer, the same batches in a bare loop; both are timed, a step.

    The trainer's time is all that passes from the end of one bare loop to the end of the trainer's next epoch.
    """

    def __init__(self, network: Network) -> None:
        self.step = bare_step(copy.deepcopy(network).train(), TrainConfig())
        self.trainer: list[float] = []
        self.bare: list[float] = []
        self.start = 0.0

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the trainer's clock, run and time the bare loop, start the trainer's clock."""
        loader = trainer.train_dataloader
        assert loader is not None
        middle = time.process_time()
        with torch.random.fork_rng(devices=[]):
            for cells in loader.sampler:
                self.step(loader.dataset[cells])
        end = time.process_time()
        if self.start:  # the first epoch warms up
            self.trainer.append((middle - self.start) / len(loader))
            self.bare.append((end - middle) / len(loader))
        self.start = time.process_time()


def measure_overhead(settings: Settings, model: SCMOE) -> list[Row]:
    """`SCMOE.train` beside a bare loop over its batches, epoch by epoch."""
    clock = BareEpochs(model.module)
    train(model, settings, settings.rounds + 1, [clock])
    case = f"SCMOE.train, a step of {settings.step_batch} cells and their neighbors"
    row = compare(
        "trainer", case, clock.trainer, clock.bare, "bare loop, same batches", measure="difference", bar=OVERHEAD_BAR
    )
    return [row]


def measure_loading(settings: Settings, mdata: MuData) -> list[Row]:
    """An epoch of batches from prepared RNA beside slicing the matrix alone."""
    SCMOE.setup_mudata(mdata, modalities=["rna"])
    dataset = MosaicDataset(mdata, SCMOE(mdata).setup)
    matrix = sparse.csr_matrix(mdata["rna"].X)
    order = np.random.default_rng(0).permutation(len(dataset))
    batches = np.array_split(order, -(-len(order) // LOADED))

    def read() -> None:
        for cells in batches:
            dataset[cells]

    def bare() -> None:
        for cells in batches:
            matrix[cells].toarray()

    times = interleaved({"scmoe": read, "bare": bare}, settings.rounds)
    filled = matrix.nnz / np.prod(matrix.shape)
    case = f"an epoch of {matrix.shape[0]} cells x {matrix.shape[1]} genes, {filled:.0%} filled, {LOADED} a batch"
    return [compare("loading", case, times["scmoe"], times["bare"], "slicing and toarray")]
