"""The catalogue of seeded bugs fits the source, and only a test that fails kills a mutant."""

from pathlib import Path

import pytest

from tests.mutants.run import verdict
from tests.mutants.seeded import ROOT, Mutant, catalogue

MUTANTS_MIN = 25
SEEDED = Mutant(
    name="two for one", pitfall="P1", file="module.py", old="1", new="2", tests=("tests",)
)


@pytest.mark.parametrize("mutant", catalogue(), ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_source(mutant: Mutant) -> None:
    source = (ROOT / mutant.file).read_text(encoding="utf-8")

    assert source.count(mutant.old) == 1, "the source has changed: mend tests/mutants"
    assert mutant.old != mutant.new
    compile(source.replace(mutant.old, mutant.new), mutant.file, "exec")
    assert mutant.tests
    assert all((ROOT / path).exists() for path in mutant.tests)


def test_every_mutant_has_a_name_of_its_own() -> None:
    names = [mutant.name for mutant in catalogue()]

    assert len(names) >= MUTANTS_MIN
    assert len(set(names)) == len(names)


def test_a_bug_is_seeded_where_the_catalogue_says(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("one = 1\n", encoding="utf-8")

    SEEDED.seed(tmp_path)

    assert (tmp_path / "module.py").read_text(encoding="utf-8") == "one = 2\n"


@pytest.mark.parametrize("source", ["one = 0\n", "one = 1 + 1\n"])
def test_a_fragment_that_does_not_occur_once_is_refused(tmp_path: Path, source: str) -> None:
    (tmp_path / "module.py").write_text(source, encoding="utf-8")

    with pytest.raises(ValueError, match="occurs"):
        SEEDED.seed(tmp_path)


def test_the_first_test_that_fails_is_the_killer() -> None:
    output = "F\nFAILED tests/a.py::test_b[c d] - AssertionError: no\n1 failed in 0.1s\n"

    assert verdict(1, output) == ("tests/a.py::test_b[c d]", "")


@pytest.mark.parametrize(
    ("code", "output"),
    [
        (0, "1 passed in 0.1s\n"),
        (1, "ERROR tests/a.py::test_b - ImportError: no\n1 error in 0.1s\n"),
        (1, "FAILED tests/a.py::test_b - NameError: name 'x' is not defined\n"),
        (2, "ERROR tests/a.py\nInterrupted: 1 error during collection\n"),
        (5, "no tests ran in 0.1s\n"),
        (-9, ""),
    ],
    ids=["passed", "error", "does not run", "not collected", "no test", "killed from outside"],
)
def test_anything_else_is_no_kill(code: int, output: str) -> None:
    killer, remark = verdict(code, output)

    assert killer == ""
    assert remark
