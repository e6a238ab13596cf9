"""Layers of published encoders: padding and other cells say nothing, and a cell without tokens is finite."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scmoe.nn.genes._config import GeneConfig
from scmoe.nn.published import _scbert
from scmoe.nn.published._form import PublishedForm
from scmoe.nn.published._layers import PerformerLayer, PostNormLayer
from scmoe.nn.published._make import make_encoder

N, D = 7, 8
AT_ONCE = 3
SCHEMES = {"scgpt": "bins", "geneformer": "rank", "scbert": "integer", "scfoundation": "continuous"}


@pytest.fixture(autouse=True, scope="module")
def _few_cells_at_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_scbert, "PLACES_AT_ONCE", AT_ONCE * N)
        yield


def make(kind: str, **form) -> torch.nn.Module:
    config = GeneConfig(
        tokenizer=SCHEMES[kind],
        encoder_width=D,
        n_bins=3,
        published=PublishedForm(kind=kind, hidden=6, head_width=3, **{"max_length": N, **form}),
    )
    return make_encoder(N, None, config).double().eval()


def tokens(lengths: list[int], seed: int, n_padding: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    m = max([*lengths, 1]) + n_padding
    gene = torch.stack([torch.cat([torch.randperm(N, generator=generator)] * 2)[:m] for _ in lengths])
    seen = torch.arange(m) < torch.tensor(lengths)[:, None]
    rank = (torch.arange(m) + 1).clamp(max=5).double()
    return gene, rank.expand(len(lengths), -1).contiguous(), seen


@pytest.mark.parametrize("kind", SCHEMES)
@given(
    lengths=st.lists(st.integers(0, N), min_size=1, max_size=2 * AT_ONCE + 1),
    padding=st.integers(0, 3),
    seed=st.integers(0, 9),
)
@settings(max_examples=15, deadline=None)
def test_padding_and_other_cells_say_nothing(kind, lengths, padding, seed):
    torch.manual_seed(0)
    encoder = make(kind)
    gene, value, seen = tokens(lengths, seed, padding)
    with torch.no_grad():
        encoded = encoder.encode(gene, value, seen)
        assert encoded.cell.isfinite().all() and encoded.cell.shape == (len(lengths), encoder.pooled_width)
        for i, n in enumerate(lengths):
            alone = encoder.encode(*(x[i : i + 1, : max(n, 1)] for x in (gene, value, seen)))
            torch.testing.assert_close(encoded.cell[i], alone.cell[0])
            torch.testing.assert_close(encoded.states[i, :n], alone.states[0, :n])


@pytest.mark.parametrize("kind", ["scgpt", "scbert", "scfoundation"])
def test_order_of_genes_says_nothing(kind):
    encoder = make(kind)
    gene, value, seen = tokens([N], 0)
    order = torch.randperm(N)
    expected = encoder.encode(gene, value, seen).cell
    torch.testing.assert_close(encoder.encode(gene[:, order], value[:, order], seen[:, order]).cell, expected)


def test_order_of_genes_is_what_geneformer_reads():
    encoder = make("geneformer")
    gene, value, seen = tokens([N], 0)
    rank = torch.arange(1, N + 1).double()[None]
    assert (encoder.encode(gene.flip(1), rank, seen).cell - encoder.encode(gene, rank, seen).cell).abs().max() > 1e-3


def test_scbert_has_the_same_gradients_with_and_without_parts():
    """Without gradients cells go through the layers in parts."""
    encoder = make("scbert")
    batch = tokens([3] * (2 * AT_ONCE + 1), 0)
    with torch.no_grad():
        in_parts = encoder.encode(*batch).cell
    torch.testing.assert_close(encoder.encode(*batch).cell, in_parts)


def test_a_layer_is_that_of_torch():
    layer, theirs = PostNormLayer(D, 2, 5).eval(), torch.nn.TransformerEncoderLayer(D, 2, 5, batch_first=True).eval()
    names = {"qkv": "self_attn.in_proj_", "out": "self_attn.out_proj.", "up": "linear1.", "down": "linear2."}
    names |= {"norm_attention": "norm1.", "norm_forward": "norm2."}
    state = {f"{names[name.split('.')[0]]}{name.split('.')[1]}": tensor for name, tensor in layer.state_dict().items()}
    theirs.load_state_dict(state)
    x, seen = torch.randn(3, 4, D), torch.arange(4) < torch.tensor([[4], [2], [1]])
    torch.testing.assert_close(layer(x, seen)[seen], theirs(x, src_key_padding_mask=~seen)[seen], atol=1e-5, rtol=1e-5)


def test_random_features_come_near_softmax_attention():
    """With many features the Performer's attention is that of softmax, up to the number that is added to each."""
    torch.manual_seed(0)
    layer, n = PerformerLayer(4, 1, 4, 6).double(), 20_000
    layer.features = torch.randn(n, 4, dtype=torch.double)
    x = torch.randn(1, 5, 4, dtype=torch.double)
    expected = layer.out(torch.nn.functional.scaled_dot_product_attention(layer.query(x), layer.key(x), layer.value(x)))
    torch.testing.assert_close(layer.attend(x), expected, atol=0.02, rtol=0)
