"""Dispatch: the slots (token, choice) in the order of their experts, found with one sort.

T tokens choose k of E experts each: N = T·k slots. Sorted by expert, every expert owns one contiguous block of rows.
Nothing here waits for a GPU: no size depends on the routing.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

MANY_SLOTS = 32_768
"""From this many slots on, sorting one-byte keys is faster than sorting integers, their conversion included."""


class Dispatch(NamedTuple):
    """Where the slots go."""

    order: Tensor
    """(N,): slot (token · k + choice) of each sorted row."""
    token: Tensor
    """(N,): token of each sorted row."""
    expert: Tensor
    """(N,): expert of each sorted row, int32."""
    row: Tensor
    """(T, k): sorted row of each slot."""
    ends: Tensor
    """(E,): end of each expert's block of rows, int32."""

    def gather(self, x_Td: Tensor) -> Tensor:
        """Rows (N, d) of the tokens (T, d)."""
        return x_Td.index_select(0, self.token)

    def combine(self, y_Nd: Tensor, weight_Tk: Tensor | None = None) -> Tensor:
        """Sum (T, d) of the rows (N, d) of each token, weighted if there are weights; the transpose of `gather`."""
        # embedding_bag sums without the (T, k, d) copy that an index and a sum would write.
        return F.embedding_bag(self.row, y_Nd, per_sample_weights=weight_Tk, mode="sum")


def dispatch(expert_Tk: Tensor, n_experts: int) -> Dispatch:
    """Sort the choices (T, k) by expert; stable, so that the result does not depend on the sorting algorithm."""
    flat = expert_Tk.flatten()
    keys = flat.to(torch.uint8) if len(flat) >= MANY_SLOTS and n_experts <= 256 else flat
    expert, order = keys.sort(stable=True)
    expert = expert.int()
    row = torch.empty_like(order)
    row[order] = torch.arange(len(order), device=order.device)
    token = order.div(expert_Tk.shape[1], rounding_mode="floor")
    experts = torch.arange(n_experts, dtype=torch.int32, device=order.device)
    ends = torch.searchsorted(expert, experts, right=True, out_int32=True)
    return Dispatch(order, token, expert, row.view_as(expert_Tk), ends)
