import torch

from scmoe.losses._graph import graph_loss

B, d = 6, 3
ALL = torch.ones(B, dtype=torch.bool)


def graph() -> torch.Tensor:
    similarity = torch.rand(B, B) * (torch.rand(B, B) < 0.5)
    return (similarity + similarity.T).fill_diagonal_(0)


def slow_graph_loss(u: torch.Tensor, similarity: torch.Tensor, mask: torch.Tensor) -> float:
    """One pair at a time."""
    losses = []
    for i in range(B):
        others = [j for j in range(B) if j != i and mask[i] and mask[j]]
        if not sum(similarity[i, j] for j in others):
            continue
        near = {j: 1 / (1 + float((u[i] - u[j]).square().sum())) for j in others}
        p = {j: float(similarity[i, j] / sum(similarity[i, k] for k in others)) for j in others}
        losses.append(-sum(p[j] * torch.tensor(near[j] / sum(near.values())).log().item() for j in others))
    return sum(losses) / len(losses)


def test_slow_sum():
    u, similarity, mask = torch.randn(B, d), graph(), torch.tensor([1, 1, 0, 1, 1, 1]).bool()
    for chosen in (ALL, mask):
        expected = torch.tensor(slow_graph_loss(u, similarity, chosen))
        torch.testing.assert_close(graph_loss(u, similarity, chosen), expected)


def test_no_neighbor_costs_nothing():
    u = torch.randn(B, d, requires_grad=True)
    loss = graph_loss(u, torch.zeros(B, B), ALL) + graph_loss(u, graph(), ~ALL)
    loss.backward()
    assert loss.item() == 0
    assert not u.grad.any()


def test_equal_points_leave_gradients_finite():
    u = torch.ones(B, d, requires_grad=True)
    graph_loss(u, graph(), ALL).backward()
    assert u.grad.isfinite().all()


def test_far_groups_keep_their_distances():
    """The Gram matrix loses digits where points are far from the origin."""
    u = torch.randn(B, d) * 0.1 + 100 * torch.tensor([1, 1, 1, -1, -1, -1])[:, None]
    similarity = graph()
    torch.testing.assert_close(
        graph_loss(u, similarity, ALL), graph_loss(u.double(), similarity.double(), ALL).float(), rtol=1e-3, atol=0
    )


def test_mixed_precision_does_not_touch_distances():
    u, similarity = torch.randn(B, d), graph()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = graph_loss(u, similarity, ALL)
    torch.testing.assert_close(mixed, graph_loss(u, similarity, ALL))
