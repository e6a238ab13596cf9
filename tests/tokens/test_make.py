from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from scmoe.tokens._make import TOKENIZERS, load_tokenizer, make_tokenizer, tokenizer_from_state

SETTINGS: dict[str, dict[str, Any]] = {
    "rank": {"limit": 7},
    "bins": {"n_bins": 11, "ties": "random", "max_length": 5, "seed": 3},
    "integer": {"max_level": 4},
    "continuous": {},
}
every_kind = pytest.mark.parametrize("kind", SETTINGS)


def test_all_kinds_are_tested() -> None:
    assert set(SETTINGS) == set(TOKENIZERS)


@every_kind
def test_state_makes_an_equal_tokenizer(kind: str, counts: sparse.csr_matrix, cells: Callable) -> None:
    tokenizer = make_tokenizer(kind, **SETTINGS[kind]).fit(counts)
    state = tokenizer.to_state()
    assert state["kind"] == kind
    assert all(isinstance(value, (int, str, np.ndarray)) for value in state.values())
    again = tokenizer_from_state(state)
    assert cells(again.transform(counts)) == cells(tokenizer.transform(counts))
    assert again.n_genes == 40 and again.n_codes == tokenizer.n_codes


@every_kind
def test_file_makes_an_equal_tokenizer(kind: str, counts: sparse.csr_matrix, cells: Callable, tmp_path: Path) -> None:
    tokenizer = make_tokenizer(kind, **SETTINGS[kind]).fit(counts)
    tokenizer.save(tmp_path / "tokenizer.npz")
    again = load_tokenizer(tmp_path / "tokenizer.npz")
    assert cells(again.transform(counts)) == cells(tokenizer.transform(counts))
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.npz"]


def test_unfitted_tokenizer_is_saved_as_such(counts: sparse.csr_matrix, tmp_path: Path) -> None:
    make_tokenizer("rank").save(tmp_path / "t.npz")
    again = load_tokenizer(tmp_path / "t.npz")
    with pytest.raises(ValueError, match="Call fit"):
        again.transform(counts)


def test_damaged_file_is_refused(counts: sparse.csr_matrix, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.npz", tmp_path / "cut.npz"
    make_tokenizer("rank").fit(counts).save(whole)
    for share in (0.0, 0.3, 0.9):
        cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
        with pytest.raises(ValueError, match=r"cut\.npz does not hold a tokenizer, or is cut short"):
            load_tokenizer(cut)
    np.savez(cut, other=np.ones(3))
    with pytest.raises(ValueError, match="does not hold a tokenizer"):
        load_tokenizer(cut)


def test_unknown_kind_and_setting() -> None:
    with pytest.raises(ValueError, match="no tokenizer 'words'; choose from 'rank', 'bins', 'integer', 'continuous'"):
        make_tokenizer("words")
    with pytest.raises(TypeError, match="n_bins"):
        make_tokenizer("rank", n_bins=5)
    with pytest.raises(FileNotFoundError):
        load_tokenizer("nowhere.npz")
