"""Who speaks and writes."""

import numpy as np
import pytest
import torch
from anndata import AnnData

from scmoe._log import is_first, logger
from scmoe.datasets._write import write


@pytest.mark.parametrize("number", ["RANK", "LOCAL_RANK", "NODE_RANK"])
def test_of_several_processes_the_first_speaks_and_writes(monkeypatch, tmp_path, capsys, number):
    adata = AnnData(np.ones((2, 2), np.float32))
    monkeypatch.setenv(number, "0")
    assert is_first()
    monkeypatch.setenv(number, "10")
    assert not is_first()
    logger.warning("a choice")
    logger.error("a fault")
    assert capsys.readouterr().err == "scmoe: a fault\n"
    write(adata, tmp_path / "data.h5ad")
    assert list(tmp_path.iterdir()) == []


def test_processes_that_have_met_know_better(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 4)
    assert not is_first()
