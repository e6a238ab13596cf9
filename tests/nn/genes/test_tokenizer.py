"""Gene tokens: program tokens at the start, the encoder's states of a cell's expressed genes later."""

import pytest
import torch
from torch import Tensor

from scmoe.data._presence import locate
from scmoe.nn._config import NetworkConfig
from scmoe.nn._network import Network
from scmoe.nn._tokenizer import ProgramTokenizer
from scmoe.nn.genes._config import GeneConfig, encoder_config
from scmoe.nn.genes._encoder import pool
from scmoe.nn.genes._tokenizer import CELLS_ALIKE, GeneTokenizer

D, P, K, d, J, B = 11, 2, 4, 8, 1, CELLS_ALIKE + 3
ENCODER = {"encoder_layers": 2, "encoder_width": 8, "decoder_width": 4, "n_bins": 5}
SMALL = {"n_tokens": P, "n_programs": K, "n_hidden": d, "n_heads": 2, "n_experts": 3, "expert_hidden": 6}
COVARIATES = torch.ones(B, J)


def make(shake=None, **settings) -> Network:
    """Modality 0 is RNA, 1 is not."""
    torch.manual_seed(1)
    config = NetworkConfig(**{"tokenizer": "genes", "gene_encoder": ENCODER, **SMALL, **settings})
    network = Network((D, 5), ("gaussian", "gaussian"), J, config, rna=(0,))
    if shake is not None:
        shake(network)
    for tokenizer in network.tokenizers:
        torch.nn.init.normal_(tokenizer.loadings, generator=torch.Generator().manual_seed(0))
    network.standardizers[0].mean.uniform_(0, 1)
    network.standardizers[0].std.uniform_(0.5, 1)
    return network.eval()


@pytest.fixture
def values() -> list[Tensor]:
    """About half of the genes are expressed, in cell 3 none, in cell 4 one, beyond the clipping of values."""
    rna = torch.rand(B, D) * 3 * (torch.rand(B, D) < 0.5)
    rna[3], rna[4] = 0, 0
    rna[4, 6] = 60
    return [rna, torch.randn(B, 5)]


def encode(network: Network, values: list[Tensor], z: list[Tensor] | None = None) -> Tensor:
    z = network.standardize(values, [None, None]) if z is None else z
    presence = locate(torch.ones(len(values[0]), 2, dtype=torch.bool))
    return network.encode(z, presence, COVARIATES[: len(values[0])], values=values).states


def test_untrained_network_is_that_of_program_tokens(values):
    genes, programs = make(), make(tokenizer="program", gene_encoder="tiny")
    assert isinstance(genes.tokenizers[0], GeneTokenizer) and type(genes.tokenizers[1]) is ProgramTokenizer
    for network in (genes, programs):
        torch.nn.init.ones_(network.blocks[0].attention.out.weight)  # zero in an untrained network
        network.standardizers[0].mean.fill_(0.5)
        network.standardizers[0].std.fill_(0.7)
    assert torch.equal(encode(genes, values), encode(programs, values))


def test_pooled_states_are_those_of_each_cell_alone(shake, values):
    tokenizer, x = make(shake).tokenizers[0], values[0]
    found = tokenizer.pooled(x, x > 0)
    for cell, own in enumerate(x):
        genes = own.nonzero().T
        seen = torch.ones_like(genes, dtype=torch.bool)
        alone = (
            pool(tokenizer.encoder.encode(genes, own[genes], seen), "joint") if len(genes[0]) else torch.zeros(1, 16)
        )
        torch.testing.assert_close(found[[cell]], alone, rtol=1e-4, atol=1e-5)


def test_tokens_are_a_linear_map_of_standardized_pooled_states(shake, values):
    tokenizer, x = make(shake).tokenizers[0], values[0]
    tokenizer.set_axes(torch.randn(16), torch.randn(16, 16))
    scores = (tokenizer.pooled(x, x > 0) - tokenizer.mean) @ tokenizer.whiten
    expected = torch.stack([scores @ weight for weight in tokenizer.readout], 1)
    torch.testing.assert_close(tokenizer.from_genes(x, x > 0), expected)


def test_order_of_genes_does_not_matter(shake, values):
    network, order = make(shake), torch.randperm(D)
    before = encode(network, values)
    tokenizer, standardizer = network.tokenizers[0], network.standardizers[0]
    for tensor in (tokenizer.encoder.gene.data, tokenizer.loadings.data, standardizer.mean, standardizer.std):
        tensor.copy_(tensor[order].clone())
    after = encode(network, [values[0][:, order], values[1]])
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


def test_modality_that_no_cell_has(shake, values):
    network = make(shake)
    both = [values[0][:0], values[1]]
    presence = locate(torch.tensor([False, True]).expand(B, 2))
    z = network.standardize(both, [None, None])
    states = network.encode(z, presence, COVARIATES, values=both).states
    assert states.isfinite().all() and not states[:, 0].any()


@pytest.fixture
def what_is_read(monkeypatch):
    """What the encoder is given: values and which of them are read."""
    given: list[tuple[Tensor, Tensor]] = []
    whole = GeneTokenizer.from_genes
    monkeypatch.setattr(GeneTokenizer, "from_genes", lambda self, *args: given.append(args) or whole(self, *args))
    return given


def test_expressed_genes_are_read_at_their_unclipped_values(values, what_is_read):
    encode(make(), values)
    x, read = what_is_read[0]
    assert torch.equal(read, values[0] > 0) and torch.equal(x[read], values[0][values[0] > 0])


def test_values_follow_changes_of_standardized_features(values, what_is_read):
    network = make()
    z = network.standardize(values, [None, None])
    encode(network, values, [z[0] + 0.5, z[1]])
    x, read = what_is_read[0]
    expected = (values[0] + 0.5 * network.standardizers[0].std)[read]
    torch.testing.assert_close(x[read], expected)


def test_gradient_reaches_expressed_genes_through_the_encoder(shake, values):
    network = make(shake, feature_dropout=0.0)
    z = [x.requires_grad_() for x in network.standardize(values, [None, None])]
    with torch.no_grad():
        network.tokenizers[0].loadings.zero_()  # no other way
    encode(network, values, z)[:, 0].square().sum().backward()
    assert torch.equal(z[0].grad != 0, values[0] > 0)


def test_training_hides_expressed_genes(what_is_read):
    network = make(feature_dropout=0.4).train()
    values = [torch.rand(B, D) * (torch.arange(D) > 2), torch.randn(B, 5)]
    reads = []
    for _ in range(40):
        encode(network, values)
        reads.append(what_is_read.pop()[1])
    share = torch.stack(reads).float().mean((0, 1))
    assert not share[:3].any() and (share[3:] - 0.6).abs().max() < 0.1


def test_values_are_needed(values):
    network = make()
    z = network.standardize(values, [None, None])
    with pytest.raises(ValueError, match="A gene encoder reads values"):
        network.encode(z, locate(torch.ones(B, 2, dtype=torch.bool)), COVARIATES)


@pytest.mark.parametrize(
    ("chosen", "error", "match"),
    [
        ("large", ValueError, "preset must be one of 'tiny', '3m', '10m', '100m'; found 'large'"),
        ({"encoder_with": 8}, TypeError, "Did you mean 'encoder_width'"),
        ({"tokenizer": "rank"}, ValueError, "this one reads the codes of tokenizer='rank'"),
        ({"depth_tokens": True}, ValueError, "Pretrain XTRIMOGENE with depth_tokens=False"),
    ],
)
def test_encoders_that_cannot_be_used_are_refused(chosen, error, match):
    with pytest.raises(error, match=match):
        make(gene_encoder=chosen)


def test_encoder_of_a_preset_or_of_settings():
    assert encoder_config("tiny") == GeneConfig() and encoder_config({"n_bins": 5}) == GeneConfig(n_bins=5)
