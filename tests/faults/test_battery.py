"""The battery, case by case: whatever is put in is answered rightly, or refused with a message that helps."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from battery.gather import cases
from battery.judge import GOOD, Case, judge
from battery.world import World

pytestmark = pytest.mark.slow  # as a whole: minutes

CASES = list(cases())


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        yield World(Path(folder))


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{case.family}: {case.name}" for case in CASES])
def test_case(number: int, world: World) -> None:
    case: Case = CASES[number]
    world.begin(number)
    outcome = judge(case, world)
    assert outcome.verdict in GOOD, f"{outcome.verdict}: {outcome.text}"


def test_cases_have_names_of_their_own() -> None:
    names = [(case.family, case.name) for case in CASES]
    assert len(set(names)) == len(names) >= 400
