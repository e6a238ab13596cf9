import pytest
import torch

from scmoe.data.statistics._correction import MAX_CENTERS, Correction, no_correction
from scmoe.nn._tokenizer import PatchTokenizer, ProgramTokenizer, modality_frames

B, D, P, d, J = 6, 12, 4, 8, 2


@pytest.mark.parametrize(
    ("n_features", "n_tokens", "size", "padding"),
    [(10, 4, 3, 2), (9, 8, 2, 7), (22, 8, 3, 2), (100, 16, 7, 12), (8, 4, 2, 0), (1, 3, 1, 2)],
)
def test_patch_size_and_padding_of_the_specification(n_features, n_tokens, size, padding):
    tokenizer = PatchTokenizer(n_features, n_tokens, d)
    assert (tokenizer.patch_size, tokenizer.padding) == (size, padding)


def test_patches_are_consecutive_features_then_zeros():
    z = torch.arange(1.0, 11).expand(2, -1)
    patches = PatchTokenizer(10, 4, d).patches(z)
    assert patches[1].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 0, 0]]


def test_one_linear_map_serves_every_patch():
    tokenizer = PatchTokenizer(D, P, d)
    z = torch.randn(B, D // P).repeat(1, P)
    tokens = tokenizer(z) - tokenizer.position
    torch.testing.assert_close(tokens, tokens[:, :1].expand(B, P, d))


def program_tokenizer(n_components: int, n_tokens: int = P, train_programs: bool = False) -> ProgramTokenizer:
    frame = torch.nn.init.orthogonal_(torch.empty(d, d))
    tokenizer = ProgramTokenizer(D, n_components, n_tokens, J, frame, train_programs=train_programs)
    tokenizer.set_components(torch.nn.init.orthogonal_(torch.empty(D, n_components)), 2.0, None)
    return tokenizer


def mean_token(tokenizer: ProgramTokenizer, z: torch.Tensor) -> torch.Tensor:
    return (tokenizer(z) - tokenizer.position).mean(1).detach()


@pytest.mark.parametrize("n_tokens", [1, P])
@pytest.mark.parametrize("n_components", [1, 5, d])
def test_mean_token_keeps_distances_of_scores(n_components, n_tokens):
    tokenizer, z = program_tokenizer(n_components, n_tokens), torch.randn(B, D)
    score = z @ tokenizer.loadings / 2.0
    torch.testing.assert_close(
        torch.cdist(mean_token(tokenizer, z), mean_token(tokenizer, z)), torch.cdist(score, score)
    )


def test_leading_programs_are_kept_where_the_width_is_too_small():
    tokenizer, z = program_tokenizer(n_components=D), torch.randn(B, D)
    leading = (z @ tokenizer.loadings)[:, :d] / 2.0
    mean = mean_token(tokenizer, z)
    torch.testing.assert_close(torch.cdist(mean, mean), torch.cdist(leading, leading))


def test_tokens_of_a_cell_differ():
    tokens = program_tokenizer(5)(torch.randn(B, D))
    assert torch.pdist(tokens[0]).min() > 0.1


@pytest.mark.parametrize("train_programs", [False, True])
def test_programs_are_trained_only_on_request(train_programs):
    tokenizer = program_tokenizer(5, train_programs=train_programs)
    assert ("loadings" in dict(tokenizer.named_parameters())) is train_programs
    assert "loadings" in tokenizer.state_dict()


def test_trained_programs_leave_those_of_the_correction_as_they_were():
    tokenizer = program_tokenizer(5, train_programs=True)
    with torch.no_grad():
        tokenizer.loadings += 1
    torch.testing.assert_close(tokenizer.fixed_loadings.T @ tokenizer.fixed_loadings, torch.eye(5))
    assert "fixed_loadings" not in dict(tokenizer.named_parameters())


@pytest.mark.parametrize("n_fixed", [0, 2, 5])
def test_leading_components_are_read_as_they_were_found(n_fixed):
    tokenizer, z, covariates = program_tokenizer(5, train_programs=True), torch.randn(B, D), torch.ones(B, J)
    correction = Correction(*(torch.randn_like(x) for x in no_correction(J, 5)))
    tokenizer.set_components(tokenizer.fixed_loadings.clone(), 2.0, correction)
    plain = program_tokenizer(5)
    plain.load_state_dict(tokenizer.state_dict())
    offset = tokenizer.offset(z, covariates)
    with torch.no_grad():
        tokenizer.loadings += 1
        plain.weight[:, n_fixed:] = 0
    torch.testing.assert_close(tokenizer(z, offset, n_fixed), plain(z, offset))


def test_without_covariates_nothing_is_corrected():
    tokenizer, z = program_tokenizer(5), torch.randn(B, D)
    assert not tokenizer.offset(z, torch.ones(B, J)).any()
    assert torch.equal(tokenizer(z, tokenizer.offset(z, torch.ones(B, J))), tokenizer(z))


def test_what_covariates_add_is_taken_from_the_scores():
    tokenizer, z, covariates = program_tokenizer(5), torch.randn(B, D), torch.eye(J)[torch.arange(B) % J]
    shifts = torch.randn(1, J, 5).expand(MAX_CENTERS, J, 5)  # the same for all kinds of cells
    correction = Correction(torch.randn(MAX_CENTERS, 5), torch.ones(()), shifts)
    tokenizer.set_components(tokenizer.fixed_loadings.clone(), 2.0, correction)
    moved = z - covariates @ shifts[0] @ tokenizer.fixed_loadings.T
    torch.testing.assert_close(tokenizer(z, tokenizer.offset(z, covariates)), tokenizer(moved))


def test_the_correction_is_saved_with_the_weights():
    tokenizer, other = program_tokenizer(5), program_tokenizer(5)
    values = [torch.randn_like(x) for x in no_correction(J, 5)]
    tokenizer.set_components(torch.randn(D, 5), 3.0, Correction(*values))
    other.load_state_dict(tokenizer.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(other.correction, values, strict=True))


@pytest.mark.parametrize("n_modalities", [1, 2, 3, d + 1])
def test_frames_are_orthonormal(n_modalities):
    for frame in modality_frames(n_modalities, d):
        torch.testing.assert_close(frame @ frame.T, torch.eye(d))


def test_leading_programs_of_modalities_start_in_orthogonal_directions():
    leading = torch.cat([frame[: d // 4] for frame in modality_frames(4, d)])
    torch.testing.assert_close(leading @ leading.T, torch.eye(d))
