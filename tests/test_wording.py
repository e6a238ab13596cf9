"""Messages of the package as they read on the command line."""

import pytest

from scmoe.cli._wording import in_options


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("batch_key='donor' is not a column", "--batch donor is not a column"),
        ("Say so with kinds={'rna': ...}", "Say so with --kind rna=..."),
        ("kinds['rna'] must be one of rna", "--kind rna must be one of rna"),
        ("missing='never' takes the zeros", "--missing never takes the zeros"),
        ("pass unlabeled_category='n/a'", "pass --unlabeled n/a"),
        ("Run scmoe.pp.prepare(mdata, kinds={'rna': 'rna'}) on it", "Run this command with --kind rna=rna on it"),
        ("genome='hg38'", "--genome hg38"),
        ("5 cells are missing in the layer", "5 cells are missing in the layer"),
        ("n_top_features=None is for all", "--all-features is for all"),
        ("raise max_epochs", "raise --max-epochs"),
    ],
)
def test_arguments_become_options(message: str, expected: str) -> None:
    assert in_options(message) == expected
