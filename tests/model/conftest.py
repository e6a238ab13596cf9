import pytest


@pytest.fixture(scope="session")
def held_out(fresh, fit_model):
    """A model of "paired" with batches, and with cells that nothing was learned from."""
    setup = {"batch_key": "batch", "labels_key": "cell_type"}
    return fit_model(fresh("paired"), setup=setup, max_epochs=8, train_size=0.5, validation_size=0.3)


@pytest.fixture(scope="session")
def counted(fresh, fit_model):
    """A model whose RNA are counts."""
    return fit_model(fresh("mosaic"), setup={"likelihoods": {"rna": "nb"}})
