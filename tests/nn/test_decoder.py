import pytest
import torch

from scmoe.nn._decoder import Decoder

B, D, K, d, N_COVARIATES = 5, 7, 3, 4, 3
UNIT, LIBRARY = 2.0, 100.0
LIKELIHOODS = ["gaussian", "nb", "poisson", "bernoulli"]


def make(likelihood: str = "gaussian", n_components: int | None = K) -> Decoder:
    decoder = Decoder(
        likelihood,
        n_features=D,
        n_hidden=d,
        width=6,
        n_covariates=N_COVARIATES,
        n_components=n_components,
        dropout=0.5,
    )
    loadings = torch.nn.init.orthogonal_(torch.empty(D, n_components or 1))
    decoder.set_statistics(loadings, UNIT, torch.linspace(-3, -1, D), torch.linspace(0.5, 2, D), LIBRARY)
    return decoder.eval()


@pytest.fixture
def state() -> torch.Tensor:
    return torch.randn(B, d)


@pytest.fixture
def covariates() -> torch.Tensor:
    return torch.eye(N_COVARIATES)[torch.arange(B) % N_COVARIATES]


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("n_components", [K, None])
def test_untrained_prediction_from_others_is_the_mean(likelihood, n_components, state, covariates):
    decoder = make(likelihood, n_components)
    mean = torch.zeros(D) if likelihood == "gaussian" else torch.linspace(-3, -1, D)
    torch.testing.assert_close(decoder(state, covariates, own=False), mean.expand(B, D))


def test_scores_become_features_through_the_programs(state, covariates, shake):
    decoder = make()
    shake(decoder)
    expected = UNIT * decoder.own(state, covariates) @ (decoder.loadings / UNIT).T
    torch.testing.assert_close(decoder(state, covariates, own=True), expected)
    torch.testing.assert_close(decoder.loadings.T @ decoder.loadings, UNIT**2 * torch.eye(K))


@pytest.mark.parametrize("likelihood", LIKELIHOODS[1:])
def test_log_rate_is_offset_plus_scaled_features(likelihood, state, covariates, shake):
    decoder = make(likelihood)
    shake(decoder)
    features = decoder.own(state, covariates) @ decoder.loadings.T
    torch.testing.assert_close(decoder(state, covariates, own=True), decoder.bias + decoder.scale * features)


@pytest.mark.parametrize(
    ("likelihood", "expected"),
    [("gaussian", -0.5), ("bernoulli", 0.37754), ("poisson", 60.6531), ("nb", 60.6531)],
)
def test_expected_value(likelihood, expected):
    found = make(likelihood).expected(torch.full((B, D), -0.5))
    torch.testing.assert_close(found, torch.full((B, D), expected), rtol=1e-4, atol=0)


def test_loss_scale_is_features_per_explained_variance():
    assert make().loss_scale.item() == pytest.approx(D / (UNIT**2 * K))


def test_other_modalities_are_decoded_regardless_of_their_scale(state, covariates, shake):
    decoder = make()
    shake(decoder)
    torch.testing.assert_close(decoder(1e3 * state, covariates, own=False), decoder(2e3 * state, covariates, own=False))


@pytest.mark.parametrize("own", [False, True])
def test_each_way_of_decoding_has_its_own_head(own, state, covariates, shake):
    decoder = make()
    shake(decoder)
    before = decoder(state, covariates, own=own)
    shake(decoder.cross if own else decoder.own)
    assert torch.equal(decoder(state, covariates, own=own), before)


def test_a_covariate_moves_the_prediction_of_its_cells_only(state, covariates, shake):
    decoder = make()
    shake(decoder)
    before = decoder(state, covariates, own=True)
    with torch.no_grad():
        decoder.own.covariate_effect[0] += 1
    changed = (decoder(state, covariates, own=True) - before).abs().sum(1) > 1e-4
    assert torch.equal(changed, covariates[:, 0] == 1)


def test_states_of_several_sources_are_decoded_at_once(covariates, shake):
    decoder, states = make(), torch.randn(2, B, d)
    shake(decoder)
    expected = torch.stack([decoder(state, covariates, own=False) for state in states])
    torch.testing.assert_close(decoder(states, covariates, own=False), expected)


@pytest.mark.parametrize("rank", [K, K - 1])
def test_error_in_scores_is_the_error_in_features(rank, covariates, shake):
    decoder = make()
    shake(decoder)
    decoder.loadings[:, rank:] = 0
    states, z = torch.randn(2, B, d), torch.randn(B, D)
    expected = (z - decoder(states, covariates, own=True)).square().mean(-1)
    torch.testing.assert_close(decoder.mean_squared_error(decoder.scores(states, covariates, own=True), z), expected)


@pytest.mark.parametrize("rank", [K, K - 1])
def test_ideal_scores_are_those_of_least_squares(rank):
    decoder, z = make(), torch.randn(B, D)
    decoder.loadings[:, rank:] = 0
    expected = torch.linalg.lstsq(decoder.loadings[:, :rank], z.T).solution.T
    torch.testing.assert_close(decoder.ideal_scores(z)[:, :rank], expected)
    assert not decoder.ideal_scores(z)[:, rank:].any()
