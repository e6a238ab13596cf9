import numpy as np
import pytest
import torch

from scmoe.explain import expert_ablation_table
from scmoe.model._fitted import query
from scmoe.model.explain._expert_ablation import without_expert
from scmoe.studies.experts._regimes import simulate_regimes


def test_tokens_take_their_next_best_expert(trained):
    router = trained.module.blocks[0].moe.router.eval()
    x, modality = torch.randn(9, 16), torch.zeros(9, dtype=torch.long)
    before = router(x, modality)
    with without_expert(trained.module.blocks[0], 2):
        without = router(x, modality)
    for t in range(9):
        others = [e for e in before.logits[t].argsort(descending=True).tolist() if e != 2][: router.top_k]
        assert without.expert[t].tolist() == others
        torch.testing.assert_close(without.weight[t], before.logits[t, others].softmax(-1))
    assert torch.equal(router(x, modality).expert, before.expert)


def slow_scores(model, mdata, target: int) -> np.ndarray:
    """The mean of what the other modalities of each cell say, all cells in one batch; NaN without any."""
    fitted, dataset, cells = query(model, mdata, None)
    sources = [v for v in range(len(model.modalities)) if v != target]
    present = dataset.present[cells][:, sources]
    here = np.flatnonzero(present.any(1))
    (reading,) = fitted.read(dataset, here, len(here), sources)
    states = fitted.encode_reading(reading, loadings="trained").encoded.states
    decoder = fitted.network.decoders[target]
    said = [decoder.scores(states[:, v], reading.covariates, own=False).numpy() for v in sources]
    out = np.full((len(cells), said[0].shape[1]), np.nan)
    for row, cell in enumerate(here):
        out[cell] = np.mean([said[j][row] for j in range(len(sources)) if present[cell, j]], axis=0)
    return out


@torch.no_grad()
def slow_change(model, mdata, expert: int) -> np.ndarray:
    found = []
    for target in range(len(model.modalities)):
        scores = slow_scores(model, mdata, target)
        with without_expert(model.module.blocks[0], expert):
            without = slow_scores(model, mdata, target)
        found.append(((without - scores) ** 2).sum(1) / np.nanvar(scores, axis=0).sum())
    return np.nanmean(found, axis=0)


@pytest.mark.parametrize("batch_size", [7, 500])
def test_change_is_that_of_predicted_scores(mosaic, trained_mosaic, batch_size):
    result = trained_mosaic.get_expert_ablation(mosaic, batch_size=batch_size)
    assert result.change.shape == result.use.shape == (mosaic.n_obs, 1, 4)
    np.testing.assert_allclose(result.use.sum(2), 1, rtol=1e-5)
    for expert in range(4):
        expected = slow_change(trained_mosaic, mosaic, expert)
        np.testing.assert_allclose(result.change[:, 0, expert], expected, rtol=0.02, atol=1e-9)
    assert (result.change >= 0).all() and result.change.any()


def test_cells_that_do_not_use_an_expert_do_not_change(paired, trained):
    result = trained.get_expert_ablation(paired)
    assert not result.change[result.use == 0].any()


def test_models_without_an_expert_to_spare_are_refused(fresh, fit_model):
    model = fit_model(fresh("paired"), network={"n_experts": 2, "top_k": 2})
    with pytest.raises(ValueError, match="Without one of n_experts=2, a token could not use top_k=2"):
        model.get_expert_ablation()


@pytest.mark.slow
def test_regimes_depend_on_the_experts_that_they_prefer(fit_model):
    """On the whole more than on a random expert of equal load, in cells that the model has not seen."""
    mdata = simulate_regimes(600, 0, 4)
    sizes = {"n_hidden": 32, "n_experts": 8, "n_programs": 20}
    model = fit_model(mdata, network=sizes, max_epochs=40, train_size=0.7, validation_size=0.1)
    use, change = model.get_expert_ablation(indices=model.test_indices)
    table = expert_ablation_table(use, change, mdata.obs["regime"].iloc[model.test_indices])
    table = table[table["group"] != "all cells"].assign(lift=lambda rows: rows["use"] / rows["load"])
    preferred = table.loc[table.groupby("group")["lift"].idxmax()]
    assert len(preferred) == 4
    assert preferred["change"].sum() > 2 * preferred["expected"].sum()
    assert (preferred["change"] > preferred["expected"]).sum() >= 3
