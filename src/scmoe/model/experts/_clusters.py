"""Routers that start from the data: one cluster of the training cells' tokens for each expert."""

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor, nn

from scmoe.data._dataset import MosaicDataset
from scmoe.nn._network import Network
from scmoe.nn._router import TopKRouter
from scmoe.nn._threads import threads_for
from scmoe.readout._hubs import evenly
from scmoe.train._diagnostics import encode_cells

N_CELLS = 1000
"""Training cells whose tokens are clustered."""


def start_routers(network: Network, dataset: MosaicDataset, train: np.ndarray, seed: int) -> None:
    """Give the routers of a network that is not trained yet the directions of clusters, with ``"clusters"``.

    The tokens are those that the routers read before training. Where there are fewer of them than experts, a router
    stays random.
    """
    if network.config.router_start != "clusters":
        return
    routers = [block.moe.router for block in network.blocks]
    inputs: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def keep(router: nn.Module, given: tuple[Tensor, Tensor], _: object) -> None:
        inputs[router] = given

    hooks = [router.register_forward_hook(keep) for router in routers]
    try:
        with threads_for(network.config.n_hidden):
            encode_cells(network, dataset[train[evenly(len(train), N_CELLS)]])
    finally:
        for hook in hooks:
            hook.remove()
    for router in routers:
        x, modality = inputs[router]
        for r in range(router.n_routers):
            start_router(router, x if router.n_routers == 1 else x[modality == r], r, seed)


@torch.no_grad()
def start_router(router: TopKRouter, x_Td: Tensor, r: int, seed: int) -> None:
    """Set the weights of router `r` to the centers of as many k-means clusters of tokens as there are experts.

    Centers are taken from the tokens' mean, and all of them scaled so that the logits of these tokens have a standard
    deviation of one.
    """
    if len(x_Td) < router.n_experts or router.n_experts == 1:
        return
    x = x_Td.double().cpu().numpy()
    centers = KMeans(router.n_experts, n_init=1, random_state=seed).fit(x).cluster_centers_
    weight = (centers - x.mean(axis=0)).T
    spread = (x @ weight).std()
    if spread > 0:
        router.clean[:, r] = torch.as_tensor(weight / spread).to(router.clean)
