"""The studies' functions are found where they were before."""

import pytest

import scmoe


@pytest.mark.parametrize("name", scmoe.studies.__all__)
def test_former_names_are_those_of_the_studies(name: str) -> None:
    assert getattr(scmoe.benchmark, name) is getattr(scmoe.studies, name)


@pytest.mark.parametrize("name", ["run_nothing", "_private"])
def test_other_names_do_not_exist(name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        getattr(scmoe.benchmark, name)
