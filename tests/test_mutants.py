"""The mutants fit the program as it is. That each is killed is what `make mutants` shows."""

import shutil
from pathlib import Path

import pytest

from tests.mutants import MUTANTS, ROOT, Mutant, apply


@pytest.mark.parametrize("mutant", [pytest.param(one, id=one.name) for one in MUTANTS])
def test_a_mutant_fits_and_names_tests_that_are_there(mutant: Mutant, tmp_path: Path) -> None:
    for path in {edit.path for edit in mutant.edits}:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)

    apply(mutant.edits, tmp_path)

    assert all((ROOT / test).is_file() for test in mutant.tests)


def test_an_edit_that_fits_no_more_is_told(tmp_path: Path) -> None:
    shutil.copy(ROOT / "schema.sql", tmp_path / "schema.sql")
    edit = MUTANTS[0].edits[0]._replace(path="schema.sql")

    with pytest.raises(ValueError, match="0 times"):
        apply([edit], tmp_path)


def test_no_two_mutants_share_a_name() -> None:
    names = [mutant.name for mutant in MUTANTS]

    assert len(names) == len(set(names)) >= 12
