"""A few moments of `tests/faults/kill.py`."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="moments are told from Linux's /proc")
def test_a_killed_training_goes_on_as_if_nothing_had_happened():
    script = Path(__file__).with_name("kill.py")
    done = subprocess.run([sys.executable, str(script), "-n", "2", "--seed", "3"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 went on cleanly" in done.stdout
