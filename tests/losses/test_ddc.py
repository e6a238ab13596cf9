import numpy as np
import pytest
import torch

from scmoe.losses._ddc import cauchy_schwarz, ddc, gaussian_kernel

B, C = 6, 3
CELL = torch.arange(float(B))[:, None]
U = (0.7 * CELL + 1.3 * torch.arange(4.0)).sin()
LOGITS = (1.1 * CELL + 0.9 * torch.arange(float(C))).cos()


def test_kernel_width_of_the_specification():
    squared = torch.cdist(U, U).square()
    median = squared.flatten().sort().values[(B * B - 1) // 2]
    assert median.item() == pytest.approx(2.624259, abs=1e-5)
    torch.testing.assert_close(gaussian_kernel(U), (-squared / (2 * 0.393639)).exp(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("term", "value"), [("separation", 0.821011), ("orthogonality", 0.321636), ("simplex", 0.911947)]
)
def test_terms_of_the_specification(term, value):
    assert getattr(ddc(LOGITS, U), term).item() == pytest.approx(value, abs=2e-6)


def test_cauchy_schwarz_equals_the_double_sum():
    assignment, kernel = torch.rand(B, C).double(), gaussian_kernel(U).double()
    n = np.einsum("ai,ab,bj->ij", assignment, kernel, assignment)
    pairs = [n[i, j] / np.sqrt(n[i, i] * n[j, j]) for i in range(C) for j in range(i + 1, C)]
    assert cauchy_schwarz(assignment, kernel).item() == pytest.approx(np.mean(pairs))


def test_order_of_cells_and_names_of_clusters_do_not_matter():
    cells, clusters = torch.randperm(B), torch.randperm(C)
    torch.testing.assert_close(ddc(LOGITS[cells][:, clusters], U[cells]), ddc(LOGITS, U))


def test_one_cluster_for_all_is_the_worst_agreement():
    collapsed = torch.zeros(B, C)
    collapsed[:, 0] = 50.0
    assert ddc(collapsed, U).orthogonality.item() == pytest.approx(1)


@pytest.mark.parametrize(("shift", "overlaps"), [(0, False), (1, True)])
def test_separation_is_small_only_for_clusters_that_are_apart(shift, overlaps):
    label = torch.arange(B) // 2
    u = 100 * torch.eye(C)[label] + U[:, :C]
    logits = 50 * torch.eye(C)[label.roll(shift)]
    assert (ddc(logits, u).separation.item() > 0.1) is overlaps


@pytest.mark.parametrize("n_cells", [1, 2, 5])
def test_identical_cells_leave_gradients_finite(n_cells):
    u = torch.ones(n_cells, 4, requires_grad=True)
    logits = torch.zeros(n_cells, C, requires_grad=True)
    torch.stack(ddc(logits, u)).sum().backward()
    assert u.grad.isfinite().all() and logits.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_copies_of_a_cell_have_a_distance_of_zero(dtype):
    """Else the kernel's width, where most pairs are copies, would be one of rounding, which would say what is alike."""
    u = (7 * torch.randn(3, 64, generator=torch.Generator().manual_seed(0), dtype=dtype)).repeat(30, 1)
    copies = torch.arange(90)[:, None] % 3 == torch.arange(90) % 3
    one = torch.cat([u, u[:1].repeat(200, 1)])  # most pairs are copies of the first cell
    assert (gaussian_kernel(u)[copies] == 1).all()
    assert torch.isin(gaussian_kernel(one), torch.tensor([0.0, 1.0], dtype=dtype)).all()


@pytest.mark.parametrize("n_copies", [4, 31])
def test_copies_that_let_the_median_distance_be_zero_leave_the_loss_finite(n_copies):
    """As in an oversampled batch: most pairs are copies of one cell, the others are apart from it."""
    u = torch.cat([U[:1].repeat(n_copies, 1), U[1:3]]).requires_grad_()
    logits = torch.cat([LOGITS[:1].repeat(n_copies, 1), LOGITS[1:3]]).requires_grad_()
    assert (u[:, None] - u).square().sum(2).median() == 0
    terms = torch.stack(ddc(logits, u))
    terms.sum().backward()
    assert terms.isfinite().all() and (terms >= 0).all()
    assert u.grad.isfinite().all() and logits.grad.isfinite().all()
