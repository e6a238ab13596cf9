import json

import numpy as np
import pytest
from mudata import read_h5mu

from scmoe.benchmark import run_demo
from scmoe.benchmark._timing import peak_memory_gib
from scmoe.io._quiet import quiet_mudata
from scmoe.model import SCMOE


@pytest.mark.slow
def test_demo_leaves_everything_it_promises(tmp_path):
    result = run_demo(tmp_path / "demo", seed=1, max_epochs=1)
    assert json.loads((tmp_path / "demo" / "comparison.json").read_text()) == result
    assert "ridge on PCA" in (tmp_path / "demo" / "comparison.md").read_text()
    figures = {path.stem for path in (tmp_path / "demo" / "figures").iterdir()}
    assert {"history", "expert_usage", "expert_usage_by_group", "attention", "imputed", "overview"} <= figures
    with quiet_mudata():
        mdata = read_h5mu(tmp_path / "demo" / "result.h5mu")
    assert {"X_scmoe", "X_umap", "scmoe_adt_from_rna"} <= set(mdata.obsm)
    model = SCMOE.load(tmp_path / "demo" / "model", mdata)
    assert len(model.test_indices) == result["imputation"]["n_held_out"] == 120
    np.testing.assert_allclose(model.get_latent_representation(), mdata.obsm["X_scmoe"], rtol=1e-3, atol=1e-4)


def test_output_is_checked_before_training(tmp_path, monkeypatch):
    import scmoe.benchmark.demo._run

    (tmp_path / "demo").write_text("a file")
    monkeypatch.setattr(scmoe.benchmark.demo._run, "train", lambda *args, **kwargs: pytest.fail("trained"))
    with pytest.raises(OSError, match="demo"):
        run_demo(tmp_path / "demo")


def test_peak_memory_is_plausible():
    assert 0.05 < peak_memory_gib() < 64
