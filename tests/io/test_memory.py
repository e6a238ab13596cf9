"""Free memory as the system and a group of processes say it."""

from pathlib import Path

import pytest

from scmoe.io import _memory

GB = 10**9


def _write(folder: Path, **files: str) -> list[Path]:
    for name, text in files.items():
        (folder / name).write_text(text)
    return [folder / name for name in files]


@pytest.mark.parametrize(
    ("limit", "expected"), [("max", 8 * 1024**2), (str(5 * GB), 3 * GB), (str(GB), 0), (str(10**14), 8 * 1024**2)]
)
def test_the_smaller_of_system_and_group_counts(tmp_path, monkeypatch, limit: str, expected: int) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  99999 kB\nMemAvailable:  8192 kB\n".replace("8192", str(8 * 1024)))
    size = str(3 * GB)
    group = _write(tmp_path, limit=limit, use=size, stat=f"anon 5\ninactive_file {GB}\n")
    monkeypatch.setattr(_memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(_memory, "GROUPS", (group, [tmp_path / "none"] * 3))
    assert _memory.free_memory() == min(expected, 8 * 1024**2)


def test_a_system_that_says_nothing_refuses_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(_memory, "MEMINFO", tmp_path / "none")
    monkeypatch.setattr(_memory, "GROUPS", ())
    monkeypatch.setattr("os.sysconf", lambda _: (_ for _ in ()).throw(ValueError))
    assert _memory.free_memory() is None
    _memory.check_memory(10**30, "They", "")


def test_the_message_has_sizes_and_remedy(monkeypatch) -> None:
    monkeypatch.setattr(_memory, "free_memory", lambda: GB)
    _memory.check_memory(GB, "They", "")
    with pytest.raises(_memory.TooLargeError, match="They take 2 GB, and 1 GB of memory are free. Do this."):
        _memory.check_memory(2 * GB, "They", "Do this.")
