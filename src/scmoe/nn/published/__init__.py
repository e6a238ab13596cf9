"""Networks of published gene models, as their checkpoints need them."""
