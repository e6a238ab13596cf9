"""The scaling study of masked-gene pretraining."""

import numpy as np
import pytest

from scmoe.studies import run_genes_scaling
from scmoe.studies.genes.scaling._law import Law, fit_law


def test_the_law_is_found_again():
    law = Law(floor=0.5, a=0.2, alpha=0.4, b=0.1, beta=0.7)
    n, d = (axis.ravel().astype(float) for axis in np.meshgrid([1e4, 3e4, 1e5, 3e5], [250, 500, 1000, 4000]))
    found = fit_law(n, d, law.loss(n / n.max(), d / d.max()))
    np.testing.assert_allclose(found, law, rtol=0.02)


def test_too_few_losses_have_no_law():
    assert fit_law([1, 2, 3], [1, 2, 3], [3, 2, 1]) is None


@pytest.mark.timeout(400)
def test_a_quick_study_goes_on_where_it_stopped(tmp_path):
    table = run_genes_scaling(tmp_path, quick=True)
    assert len(table["results"]) == 6 and not table["skipped"]
    assert len({result["ridge_mse"] for result in table["results"]}) == 3  # of the same cells for both widths
    text = (tmp_path / "scaling.md").read_text()
    assert "Fitted, over 1 seeds: loss = " in text and (tmp_path / "scaling.png").stat().st_size
    stored = {file: file.stat().st_mtime_ns for file in (tmp_path / "runs").iterdir()}
    assert run_genes_scaling(tmp_path, quick=True)["results"] == table["results"]
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "runs").iterdir()} == stored
