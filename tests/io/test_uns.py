"""Values that both file formats accept."""

from datetime import date
from enum import Enum
from pathlib import Path, PurePosixPath

import mudata
import numpy as np
import pandas as pd
import pytest

from scmoe.io._quiet import quiet_mudata
from scmoe.io._uns import to_uns


class Color(Enum):
    RED = "red"


AWKWARD = {
    1: (1, 2),
    "a/b": {"x", "y"},
    "none": None,
    "path": PurePosixPath("/tmp/x"),
    "enum": Color.RED,
    "date": date(2026, 1, 2),
    "numpy": np.float32(0.5),
    "nothing": [],
    "mixed": [1, None, "a"],
    "ragged": [[1, 2], [3]],
    "records": [{"epoch": 1}, {"epoch": 2}],
    "objects": np.array(["a", None], dtype=object),
    "scalar": np.array("a", dtype=object),
    "series": pd.Series([1.0, 2.0]),
    "category": pd.Categorical(["a", "b"]),
    "table": pd.DataFrame({0: [1, 2], "label": ["a", None], "kind": pd.Categorical(["u", "v"])}),
    "deep": {"deeper": {2: Color.RED}},
    "flag": True,
}


@pytest.mark.parametrize("suffix", ["h5mu", "zarr"])
def test_awkward_values_survive_both_formats(mdata: mudata.MuData, tmp_path: Path, suffix: str) -> None:
    mdata.uns["scmoe"] = to_uns(AWKWARD)
    path = tmp_path / f"a.{suffix}"
    with quiet_mudata():
        if suffix == "h5mu":
            mdata.write_h5mu(path)
            uns = mudata.read_h5mu(path).uns["scmoe"]
        else:
            mdata.write_zarr(path)
            uns = mudata.read_zarr(path).uns["scmoe"]
    assert set(uns) == {str(key).replace("/", "_") for key in AWKWARD}
    assert (uns["none"], uns["enum"], uns["date"], uns["flag"]) == ("None", "red", "2026-01-02", True)
    assert list(uns["1"]) == [1, 2]
    assert list(uns["mixed"]) == ["1", "None", "a"]
    assert list(uns["ragged"]["0"]) == [1, 2]
    assert uns["records"]["1"]["epoch"] == 2
    assert uns["deep"]["deeper"]["2"] == "red"
    assert list(uns["table"].columns) == ["0", "label", "kind"]
    assert list(uns["table"]["label"]) == ["a", "None"]


def test_tensors_become_arrays() -> None:
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(to_uns(torch.ones(2, dtype=torch.bfloat16)), np.ones(2))


def test_keys_that_become_equal_are_refused() -> None:
    with pytest.raises(ValueError, match="not distinct as text"):
        to_uns({1: "a", "1": "b"})
