"""Who wrote a file."""

from pathlib import Path

import mudata
import pytest

from scmoe.datasets import write
from scmoe.io._versions import installed, written_by


@pytest.mark.parametrize("suffix", [".h5mu", ".zarr"])
def test_the_writer_of_a_file_is_read_from_it(mdata: mudata.MuData, tmp_path: Path, suffix: str) -> None:
    write(mdata, tmp_path / f"a{suffix}")
    assert written_by(tmp_path / f"a{suffix}") in installed()


def test_what_says_nothing_has_no_writer(tmp_path: Path) -> None:
    (tmp_path / "a.h5mu").write_text("x")
    assert written_by(tmp_path / "a.h5mu") == written_by(tmp_path / "none.h5mu") == written_by(tmp_path) == ""
