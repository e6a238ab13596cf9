"""The network: tokenizers, attention, router, experts, decoders. Plain torch: it knows no MuData and no scvi-tools."""
