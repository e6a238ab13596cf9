import numpy as np
import pandas as pd
import pytest

from scmoe.explain import expert_ablation_table

N, L, E = 30, 2, 4
GROUPS = pd.Series(np.resize(["B", "T", None], N))


def values() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    use, change = rng.dirichlet(np.ones(E), size=(N, L)), rng.random((N, L, E))
    use[3] = change[3] = np.nan
    return use, change


def test_table_is_the_slow_one():
    use, change = values()
    table = expert_ablation_table(use, change, GROUPS)
    for row in table.itertuples():
        cells = [i for i in range(N) if i != 3 and row.group in ("all cells", GROUPS[i])]
        counted = [i for i in range(N) if i != 3]
        load = [np.mean([use[i, row.layer, e] for i in counted]) for e in range(E)]
        means = [np.mean([change[i, row.layer, e] for i in cells]) for e in range(E)]
        others = [e for e in range(E) if e != row.expert]
        expected = load[row.expert] * sum(means[e] for e in others) / sum(load[e] for e in others)
        assert row.n_cells == len(cells)
        assert row.use == pytest.approx(np.mean([use[i, row.layer, row.expert] for i in cells]))
        assert (row.load, row.change, row.expected) == pytest.approx((load[row.expert], means[row.expert], expected))
    assert len(table) == 3 * L * E


def test_a_group_s_own_expert_is_above_a_random_one():
    own = np.resize([0, 1, 2], N)
    use = np.full((N, 1, 3), 0.1)
    use[np.arange(N), 0, own] = 0.8
    table = expert_ablation_table(use, use**2, pd.Series([f"type{e}" for e in own])).set_index(["group", "expert"])
    for e in range(3):
        assert table.loc[(f"type{e}", e), "change"] > 10 * table.loc[(f"type{e}", e), "expected"]
        assert table.loc[("all cells", e), "change"] == pytest.approx(table.loc[("all cells", e), "expected"])


def test_other_shapes_are_refused():
    use, change = values()
    with pytest.raises(ValueError, match="both be cells x layers x experts"):
        expert_ablation_table(use, change[:, 0])
