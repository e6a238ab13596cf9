"""The engine on a CUDA device: times, and the share of what the card can do, measured in the same run."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from scmoe.nn._config import NetworkConfig
from scmoe.nn._router import Routing
from scmoe.studies.speed._engine import HIDDEN, TOP_K, WIDTH, make_experts, make_routing, step
from scmoe.studies.speed._timing import Row, Settings

E = 16
TOKENS = 2 * NetworkConfig().n_tokens
"""Tokens a cell of two modalities."""
MATRIX, COPIED = 8192, 2**30
"""Side of the matrices, and bytes of the copy, that the card's peak is measured with."""


def measure_gpu(settings: Settings) -> list[Row]:
    """All batch sizes in float32 and bfloat16; a row saying so without a device."""
    if not torch.cuda.is_available():
        return [Row(section="GPU", case="engine", note="skipped: no CUDA device")]
    torch.manual_seed(0)
    device = torch.device("cuda")
    flops, bandwidth = peak_flops(device, settings.rounds), peak_bandwidth(device, settings.rounds)
    name = torch.cuda.get_device_name(device)
    note = f"{name}: {flops / 1e12:.0f} TFLOP/s of a bf16 matrix product, {bandwidth / 1e9:.0f} GB/s of a copy"
    first = Row(section="GPU", case="peak, measured in the same run", note=note)
    return [first, *(row for n in settings.gpu_cells for row in _batch(n, device, settings.rounds, flops, bandwidth))]


def _batch(n_cells: int, device: torch.device, rounds: int, flops: float, bandwidth: float) -> Iterator[Row]:
    """Forward and backward pass in both precisions; the results are bf16's share of the peaks, and fp32's time."""
    experts, T = make_experts(E).to(device), n_cells * TOKENS
    fields = (None if x is None else x.detach().to(device) for x in make_routing(T, E))
    routing = Routing(*fields)  # type: ignore[arg-type]
    routing.weight.requires_grad_()
    x = torch.randn(T, WIDTH, device=device, requires_grad=True)
    run = step(experts, list(experts.parameters()), x, routing)
    times = {half: cuda_seconds(_cast(run, half, device), rounds) for half in (False, True)}
    low, seconds, high = np.quantile(times[True], [0.25, 0.5, 0.75]).tolist()
    # Forward two products, backward four, two operations a multiplication and addition.
    work = 12 * T * TOP_K * WIDTH * HIDDEN
    weights = sum(parameter.numel() for parameter in experts.parameters())
    # At least: weights read in both passes and their gradients written; rows in and out, hidden rows out and in again.
    moved = 2 * (3 * weights + T * (4 * WIDTH + 2 * TOP_K * HIDDEN))
    yield Row(
        section="GPU",
        case=f"{n_cells} cells, {T} tokens, bf16",
        unit="ms",
        scmoe=1e3 * seconds,
        baseline=1e3 * float(np.median(times[False])),
        baseline_is="float32",
        result=seconds / float(np.median(times[False])),
        low=low / float(np.median(times[False])),
        high=high / float(np.median(times[False])),
        result_is="x",
        note=f"{work / seconds / flops:.1%} of peak bf16, "
        f"{moved / seconds / bandwidth:.1%} of peak bandwidth (least traffic)",
    )


def _cast(run: Callable[[], None], half: bool, device: torch.device) -> Callable[[], None]:
    def inner() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            run()

    return inner


def cuda_seconds(function: Callable[[], object], rounds: int) -> list[float]:
    """Seconds of each call on the device."""
    for _ in range(3):
        function()
    pairs = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(rounds)]
    for start, end in pairs:
        start.record()
        function()
        end.record()
    torch.cuda.synchronize()
    return [start.elapsed_time(end) / 1e3 for start, end in pairs]


def peak_flops(device: torch.device, rounds: int) -> float:
    """Operations a second of a large bf16 matrix product."""
    a = torch.randn(MATRIX, MATRIX, device=device, dtype=torch.bfloat16)
    return 2 * MATRIX**3 / float(np.median(cuda_seconds(lambda: a @ a, rounds)))


def peak_bandwidth(device: torch.device, rounds: int) -> float:
    """Bytes a second of a large copy, read and written."""
    a = torch.empty(COPIED, device=device, dtype=torch.uint8)
    b = torch.empty_like(a)
    return 2 * COPIED / float(np.median(cuda_seconds(lambda: b.copy_(a), rounds)))
