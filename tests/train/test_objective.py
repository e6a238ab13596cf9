import pytest
import torch
from torch import Tensor

from scmoe.data._dataset import Batch
from scmoe.data._presence import locate
from scmoe.losses._balance import balance_by_modality, balance_loss
from scmoe.nn._config import NetworkConfig
from scmoe.nn._network import Network
from scmoe.train._config import TrainConfig
from scmoe.train._objective import (
    draw_groups,
    mean_over_observed,
    objective,
    own_and_cross,
    pair_losses,
    reconstruction,
)

B, N_FEATURES, LIKELIHOODS = 8, (7, 5, 6, 4), ("gaussian", "nb", "bernoulli", "poisson")
V = len(N_FEATURES)
COMPLETE = torch.ones(B, V, dtype=torch.bool)
SPLIT = torch.arange(V).expand(B, V)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def network() -> Network:
    """Random throughout: much of an untrained network is zero, and would hide mistakes."""
    config = NetworkConfig(
        tokenizer="patch",
        n_tokens=2,
        n_hidden=8,
        n_heads=2,
        n_experts=3,
        expert_hidden=6,
        decoder_hidden=6,
        n_clusters=3,
    )
    network = Network(N_FEATURES, LIKELIHOODS, 2, config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.eval()


def make_batch(present: Tensor = COMPLETE) -> Batch:
    """A third of the first modality's entries is missing."""
    sizes = list(zip(present.sum(0).tolist(), N_FEATURES, strict=True))
    observed = torch.rand(sizes[0]) < 0.7
    values = [torch.randn(size) for size in sizes]
    values[0] = values[0] * observed
    return Batch(
        values,
        [observed, None, None, None],
        [None if v == 0 else torch.poisson(torch.full(size, 2.0)) for v, size in enumerate(sizes)],
        locate(present),
        torch.eye(2)[torch.arange(B) % 2],
    )


def some_absent() -> Tensor:
    """Every cell has the last modality at least."""
    present = torch.rand(B, V) < 0.6
    present[:, -1] = True
    return present


def cross_gradient(network: Network, target: int, group: Tensor) -> list[Tensor]:
    """Gradient of the loss of predicting `target` from the others, with respect to each modality's input."""
    batch = make_batch()
    for v, decoder in enumerate(network.decoders):
        decoder.loss_scale.fill_(v == target)
    z = network.standardize(batch.values, batch.observed)
    inputs = [x.clone().requires_grad_() for x in z]
    encoded = network.encode(inputs, batch.presence, batch.covariates, group)
    _, cross = own_and_cross(*pair_losses(network, encoded, z, batch, group))
    return list(torch.autograd.grad(cross, inputs, materialize_grads=True))


@pytest.mark.parametrize("target", range(V))
def test_prediction_of_split_cells_never_saw_the_target(network, target):
    for v, gradient in enumerate(cross_gradient(network, target, SPLIT)):
        assert torch.equal(gradient.any(1), torch.full((B,), v != target))


@pytest.mark.parametrize("target", range(V))
def test_prediction_in_any_groups_never_saw_the_target(network, target):
    group = draw_groups(B, V, 0.7, CPU)
    has_source = (group != group[:, [target]]).any(1)
    assert has_source.any() and not has_source.all()
    gradients = cross_gradient(network, target, group)
    assert not gradients[target].any()
    others = torch.cat([gradients[v] for v in range(V) if v != target], 1)
    assert torch.equal(others.any(1), has_source)


@pytest.mark.parametrize("mosaic", [False, True])
def test_decoding_losses_equal_the_loop_over_cells(network, mosaic):
    batch = make_batch(some_absent() if mosaic else COMPLETE)
    group = draw_groups(B, V, 0.7, CPU)
    z = network.standardize(batch.values, batch.observed)
    encoded = network.encode(z, batch.presence, batch.covariates, group)
    own, cross = [], []
    for target in range(V):
        for source in range(V):
            state = encoded.states[:, source]
            decoder = network.decoders[target]
            mask = batch.presence.mask
            loss = torch.zeros(B)
            scores = decoder.scores(state, batch.covariates, own=source == target)[mask[:, target]]
            parts = (z[target], batch.counts[target], batch.observed[target])
            loss[mask[:, target]] = reconstruction(decoder, scores, *parts)
            cells = [c for c in range(B) if mask[c, target] and mask[c, source]]
            if source != target:
                cells = [c for c in cells if group[c, source] != group[c, target]]
            if cells:
                (own if source == target else cross).append(torch.stack([loss[c] for c in cells]).mean())
    expected = (sum(own) / V, sum(cross) / len(cross))
    torch.testing.assert_close(own_and_cross(*pair_losses(network, encoded, z, batch, group)), expected)


@pytest.mark.parametrize(("v", "likelihood"), list(enumerate(LIKELIHOODS)))
def test_reconstruction_follows_the_likelihood(network, v, likelihood):
    batch, decoder, scores = make_batch(), network.decoders[v], torch.randn(B, N_FEATURES[v])
    decoder.loss_scale.fill_(2.0)
    found = reconstruction(decoder, scores, batch.values[v], batch.counts[v], batch.observed[v])
    decoded = decoder.predictor(scores)
    if likelihood == "gaussian":
        loss = torch.where(batch.observed[0], (batch.values[0] - decoded) ** 2, torch.nan)
    elif likelihood == "bernoulli":
        loss = -torch.distributions.Bernoulli(logits=decoded).log_prob((batch.counts[v] > 0).float())
    else:
        rate = decoded.exp() * batch.counts[v].sum(1, keepdim=True)
        theta = network.decoders[v].log_theta.exp() if likelihood == "nb" else None
        distribution = (
            torch.distributions.Poisson(rate)
            if theta is None
            else torch.distributions.NegativeBinomial(theta.expand_as(rate), logits=(rate / theta).log())
        )
        loss = -distribution.log_prob(batch.counts[v])
    torch.testing.assert_close(found, 2 * loss.nanmean(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_modalities", [1, 2, 3, 4])
@pytest.mark.parametrize("p_split", [0.0, 0.3, 1.0])
def test_share_of_cells_whose_modalities_are_all_alone(n_modalities, p_split):
    group = draw_groups(20_000, n_modalities, p_split, CPU)
    alone = torch.tensor([len(set(row)) == n_modalities for row in group.tolist()]).float().mean()
    expected = {1: 1.0, 2: p_split}.get(n_modalities, p_split / 2)
    assert alone.item() == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("p_split", [0.0, 0.3, 1.0])
def test_share_of_cells_in_two_random_groups(p_split):
    group = draw_groups(20_000, 4, p_split, CPU)
    two = torch.tensor([len(set(row)) == 2 for row in group.tolist()]).float().mean()
    both_used = 1 - 2 / 2**4
    assert two.item() == pytest.approx(p_split / 2 * both_used, abs=0.015)


def test_missing_entries_change_nothing(network):
    batch = make_batch()
    other = batch._replace(values=[torch.where(batch.observed[0], batch.values[0], 7.0), *batch.values[1:]])
    torch.testing.assert_close(objective(network, batch, TrainConfig()), objective(network, other, TrainConfig()))


@pytest.mark.parametrize("training", [False, True])
def test_absent_modalities_leave_gradients_finite(network, training):
    objective(network.train(training), make_batch(some_absent()), TrainConfig())["loss"].backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    assert len(gradients) > 40
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_modality_that_no_cell_has_learns_nothing(network):
    present = COMPLETE.clone()
    present[:, 1] = False
    objective(network, make_batch(present), TrainConfig())["loss"].backward()
    for module in (network.tokenizers[1], network.decoders[1]):
        assert not any(parameter.grad.any() for parameter in module.parameters() if parameter.grad is not None)
    assert network.decoders[0].own.out.weight.grad.any()


def test_covariates_are_scaled_before_they_are_used(network):
    batch = make_batch()
    network.covariate_mean.copy_(torch.tensor([0.0, 3.0]))
    network.covariate_std.copy_(torch.tensor([1.0, 2.0]))
    scaled = batch._replace(covariates=(batch.covariates - network.covariate_mean) / network.covariate_std)
    found = objective(network, batch, TrainConfig())
    network.covariate_mean.zero_()
    network.covariate_std.fill_(1)
    torch.testing.assert_close(found, objective(network, scaled, TrainConfig()))


def test_no_label_takes_part(network):
    assert set(objective(network, make_batch(), TrainConfig())) == {"loss", "own", "cross", "balance", "z", "cluster"}


WEIGHTS = {"own": "own_weight", "cross": "cross_weight", "cluster": "cluster_weight"}
ROUTER_WEIGHTS = {"balance": "balance_weight", "z": "z_weight"}


@pytest.mark.parametrize(("training", "weights"), [(False, WEIGHTS), (True, WEIGHTS | ROUTER_WEIGHTS)])
def test_loss_is_the_weighted_sum_of_its_terms(network, training, weights):
    config = TrainConfig(**{field: 0.5 + i for i, field in enumerate((WEIGHTS | ROUTER_WEIGHTS).values())})
    terms = objective(network.train(training), make_batch(), config)
    expected = sum(terms[term] * getattr(config, field) for term, field in weights.items())
    torch.testing.assert_close(terms["loss"], expected)


def test_neighbors_are_kept_in_fused_cells_whatever_their_group_is_called(network, monkeypatch):
    similarity = torch.rand(B, B).fill_diagonal_(0)
    batch, found = make_batch()._replace(similarity=similarity), {}
    for name, group in {"first": 0 * SPLIT, "second": 0 * SPLIT + 1, "split": SPLIT}.items():
        monkeypatch.setattr("scmoe.train._objective.draw_groups", lambda *_, group=group: group)
        torch.manual_seed(0)
        found[name] = objective(network.train(), batch, TrainConfig())["graph"].item()
    assert found["first"] == found["second"] > 0
    assert found["split"] == 0


@pytest.mark.parametrize("scope", ["pooled", "per_modality"])
def test_scope_of_the_balance(network, scope):
    batch = make_batch()
    z = network.standardize(batch.values, batch.observed)
    encoded = network.encode(z, batch.presence, batch.covariates, SPLIT)
    routing, modality = encoded.routing[0], encoded.tokens.modality
    expected = balance_loss(routing) if scope == "pooled" else balance_by_modality(routing, modality, V)
    torch.testing.assert_close(objective(network, batch, TrainConfig(balance_scope=scope))["balance"], expected)


def test_evaluation_is_deterministic(network):
    batch = make_batch()
    first, second = (objective(network, batch, TrainConfig())["loss"] for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("term", ["cross", "loss"])
def test_single_modality_needs_no_other(term):
    config = NetworkConfig(n_hidden=8, n_heads=2, n_programs=3)
    network = Network([6], ["gaussian"], 1, config)
    there = locate(torch.ones(B, 1, dtype=torch.bool))
    terms = objective(network, Batch([torch.randn(B, 6)], [None], [None], there, torch.ones(B, 1)), TrainConfig())
    assert terms[term].isfinite() and terms["cross"] == 0


def test_mean_over_observed_entries():
    loss, observed = torch.randn(2, 5, 7), torch.rand(5, 7) < 0.5
    observed[:, 0], observed[3] = True, False
    found = mean_over_observed(loss, observed)
    for source in range(2):
        for cell in range(5):
            expected = loss[source, cell, observed[cell]].mean() if observed[cell].any() else torch.tensor(0.0)
            torch.testing.assert_close(found[source, cell], expected)


def test_mean_over_all_entries_without_a_mask():
    loss = torch.randn(2, 5, 7)
    torch.testing.assert_close(mean_over_observed(loss, None), loss.mean(-1))
