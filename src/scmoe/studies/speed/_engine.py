"""The expert engine beside a dense layer of the same active size, and beside the usual loop over experts."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from scmoe.nn._config import NetworkConfig
from scmoe.nn._experts import Experts
from scmoe.nn._router import Routing
from scmoe.studies.speed._timing import Row, Settings, compare, interleaved, keep_freed_memory

WIDTH, HIDDEN, TOP_K = 64, 256, 2
BARS = {(256, 16): 1.9, (1024, 16): 1.4, (4096, 16): 1.15, (16384, 16): 1.05, (1024, 32): 1.5}
SKEW_BAR = 1.15
DENSE = f"dense layer of width {TOP_K * HIDDEN}"


class LoopExperts(nn.Module):
    """The usual sparse layer, with the weights of `experts`: for each expert pick its tokens, compute, add up."""

    def __init__(self, experts: Experts) -> None:
        super().__init__()
        self.experts = nn.ModuleList()
        for parameters in zip(experts.w1, experts.b1, experts.w2, experts.b2, strict=True):
            w1, b1, w2, b2 = (nn.Parameter(weight.detach().clone()) for weight in parameters)
            expert = nn.Sequential(nn.Linear(w1.shape[1], len(w1)), nn.GELU(), nn.Linear(len(w1), len(w2)))
            expert[0].weight, expert[0].bias, expert[2].weight, expert[2].bias = w1, b1, w2, b2
            self.experts.append(expert)

    def forward(self, x_Td: Tensor, routing: Routing) -> Tensor:
        """As `Experts`."""
        out = torch.zeros_like(x_Td)
        for e, expert in enumerate(self.experts):
            token, choice = torch.where(routing.expert == e)
            out.index_add_(0, token, expert(x_Td[token]) * routing.weight[token, choice, None])
        return out


def dense_layer(width: int, hidden: int) -> nn.Sequential:
    """A feed-forward layer."""
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


def make_experts(n_experts: int) -> Experts:
    """The experts of all measurements."""
    config = NetworkConfig(n_hidden=WIDTH, expert_hidden=HIDDEN, n_experts=n_experts, top_k=TOP_K)
    return Experts(config)


def make_routing(n_tokens: int, n_experts: int, *, zipf: bool = False) -> Routing:
    """Random routing: all experts equally likely, or the i-th most likely with a probability ∝ 1/i."""
    rank = torch.arange(1, n_experts + 1, dtype=torch.float32)
    logits = -rank.log() if zipf else torch.zeros(n_experts)
    noisy = logits - torch.empty(n_tokens, n_experts).exponential_().log()  # Gumbel: draws without replacement
    top, expert = noisy.topk(TOP_K, dim=-1)
    return Routing(top.softmax(-1).requires_grad_(), expert, noisy, noisy, None)


def step(layer: Callable[..., Tensor], parameters: list[Tensor], x: Tensor, *routing: Routing) -> Callable[[], None]:
    """Forward and backward pass of a layer on tokens (T, d), to the gradients of all that is learned."""
    inputs = [x, *parameters, *(weights.weight for weights in routing)]
    upstream = torch.randn_like(x)

    def run() -> None:
        torch.autograd.grad(layer(x, *routing), inputs, upstream)

    return run


def measure_engine(settings: Settings) -> list[Row]:
    """All shapes, and skewed beside balanced routing."""
    keep_freed_memory()
    torch.manual_seed(0)
    rows = [row for shape in settings.shapes for row in _shape(*shape, settings.rounds)]
    experts, x = make_experts(16), torch.randn(settings.skewed_tokens, WIDTH, requires_grad=True)
    routings = {zipf: make_routing(len(x), 16, zipf=zipf) for zipf in (False, True)}
    functions = {str(zipf): step(experts, list(experts.parameters()), x, routing) for zipf, routing in routings.items()}
    times = interleaved(functions, settings.rounds)
    case = f"T={len(x)}, E=16, Zipf-skewed routing"
    rows.append(compare("engine", case, times["True"], times["False"], "scmoe, balanced routing", bar=SKEW_BAR))
    return rows


def _shape(n_tokens: int, n_experts: int, rounds: int) -> list[Row]:
    experts, dense = make_experts(n_experts), dense_layer(WIDTH, TOP_K * HIDDEN)
    loop, routing = LoopExperts(experts), make_routing(n_tokens, n_experts)
    x = torch.randn(n_tokens, WIDTH, requires_grad=True)
    times = interleaved(
        {
            "scmoe": step(experts, list(experts.parameters()), x, routing),
            "dense": step(dense, list(dense.parameters()), x),
            "loop": step(loop, list(loop.parameters()), x, routing),
        },
        rounds,
    )
    case, bar = f"T={n_tokens}, E={n_experts}", BARS.get((n_tokens, n_experts))
    return [
        compare("engine", case, times["scmoe"], times["dense"], DENSE, bar=bar),
        compare("engine", case, times["scmoe"], times["loop"], "loop over experts"),
    ]
