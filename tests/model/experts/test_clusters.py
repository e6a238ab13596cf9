import numpy as np
import torch
from sklearn.cluster import KMeans

from scmoe.model._scmoe import SCMOE
from scmoe.model.experts._clusters import start_router, start_routers
from scmoe.nn._config import NetworkConfig
from scmoe.nn._router import TopKRouter

d, E = 6, 3


def router(**fields) -> TopKRouter:
    return TopKRouter(2, NetworkConfig(n_hidden=d, n_heads=1, n_experts=E, **fields))


def tokens_of_clusters(n: int = 90) -> tuple[torch.Tensor, np.ndarray]:
    rng = np.random.default_rng(0)
    cluster = np.arange(n) % E
    return torch.tensor(8 * np.eye(E, d)[cluster] + rng.normal(size=(n, d)), dtype=torch.float32), cluster


def test_each_expert_starts_with_a_cluster():
    x, cluster = tokens_of_clusters()
    start = router()
    start_router(start, x, 0, 0)
    first = start.eval()(x, torch.zeros(len(x), dtype=torch.long)).expert[:, 0].numpy()
    assert sorted({(c, e) for c, e in zip(cluster, first, strict=True)}) == [(c, first[c]) for c in range(E)]
    assert len(set(first)) == E


def test_weights_are_the_centers_from_the_mean_scaled():
    x, _ = tokens_of_clusters()
    start = router()
    start_router(start, x, 0, 0)
    centers = KMeans(E, n_init=1, random_state=0).fit(x.double().numpy()).cluster_centers_
    weight = (centers - x.double().numpy().mean(axis=0)).T
    expected = torch.tensor(weight / (x.double().numpy() @ weight).std())
    torch.testing.assert_close(start.clean[:, 0].double(), expected, rtol=1e-4, atol=1e-4)


def test_fewer_tokens_than_experts_leave_the_router_random():
    start = router()
    before = start.clean.clone()
    start_router(start, torch.randn(E - 1, d), 0, 0)
    assert torch.equal(start.clean, before)


def test_training_starts_routers_of_each_modality_from_its_own_tokens(fresh, tiny):
    mdata = fresh("paired")
    SCMOE.setup_mudata(mdata)
    model = SCMOE(mdata, **{**tiny, "router": "per_modality", "router_start": "clusters"})
    before = model.module.blocks[0].moe.router.clean.clone()
    start_routers(model.module, model._dataset(None), np.arange(mdata.n_obs), 0)
    after = model.module.blocks[0].moe.router.clean
    for r in range(2):
        assert not torch.equal(after[:, r], before[:, r])
    assert not torch.allclose(after[:, 0], after[:, 1])


def test_random_routers_stay_as_they_are(fresh, tiny):
    mdata = fresh("paired")
    SCMOE.setup_mudata(mdata)
    model = SCMOE(mdata, **tiny)
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    start_routers(model.module, model._dataset(None), np.arange(mdata.n_obs), 0)
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())
