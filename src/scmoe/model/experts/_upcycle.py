"""Upcycling: experts that start as copies of a trained dense layer."""

from dataclasses import asdict, replace

from scmoe.model._scmoe import SCMOE


def upcycled(dense: SCMOE, n_experts: int, top_k: int) -> SCMOE:
    """A model with experts, each a copy of the dense layer of a trained model, which `train` goes on training.

    Where weights of a token's experts sum to one, it says what the dense model says. Its routers start at random.

    Parameters
    ----------
    dense
        A trained model with a single expert in each block, and its data.
    n_experts, top_k
        Of the new model.

    Raises
    ------
    ValueError
        The model has more than one expert.
    """
    if dense.config.n_experts > 1:
        raise ValueError(f"Upcycling copies a dense layer; this model has n_experts={dense.config.n_experts}.")
    config = replace(dense.config, n_experts=n_experts, top_k=top_k)
    model = SCMOE(dense.adata, seed=dense.seed, **asdict(config))
    state = model.module.state_dict()
    for name, value in dense.fitted.network.state_dict().items():
        if ".moe.experts." in name:
            state[name] = value.expand(n_experts, *value.shape[1:])
        elif ".moe.router." not in name:
            state[name] = value
    model.module.load_state_dict(state)
    model.readouts, model.record, model.is_trained_ = dense.readouts, dense.record, True
    return model
