"""The core as it is in the wheel: compiled from what the sources say now, and doing the same."""

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "compile_core.py"
PROJECT = """
[tool.hatch.build.targets.wheel.hooks.custom]
compiled = ["bftcluster/limits.py", "bftcluster/rules.py"]
"""
RULES = """
from bftcluster.limits import ENOUGH


def vote(votes: int) -> str:
    assert votes >= 0, "votes are counted"
    return "enough" if votes >= ENOUGH else "too few"
"""


def run(*command: str | Path, root: Path = ROOT, **environment: str) -> str:
    """Return what a command says that knows nothing of how these tests are run."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    ran = subprocess.run(
        command, cwd=root, env=inherited | environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def compiled(*arguments: str | Path, root: Path = ROOT) -> str:
    """Return what Python says in the compiled form of the project at ``root``."""
    script = root / SCRIPT.relative_to(ROOT)
    return run(sys.executable, script, sys.executable, *arguments, root=root)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project, compiled by our script."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "bftcluster").mkdir()
    (tmp_path / "scripts" / SCRIPT.name).write_bytes(SCRIPT.read_bytes())
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "bftcluster" / "__init__.py").write_text("")
    (tmp_path / "bftcluster" / "limits.py").write_text("ENOUGH: int = 3")
    (tmp_path / "bftcluster" / "rules.py").write_text(RULES)
    return tmp_path


def asked(project: Path, votes: int) -> list[str]:
    """Return what the rule says, and the end of the name of the file it is in."""
    question = f"from bftcluster import rules; print(rules.vote({votes}), rules.__file__[-3:])"
    return compiled("-c", question, root=project).splitlines()[-1].rsplit(" ", 1)


@pytest.mark.slow
def test_what_was_edited_is_compiled_again_before_it_is_run(project: Path) -> None:
    assert asked(project, 2) == ["too few", ".so"]

    (project / "bftcluster" / "limits.py").write_text("ENOUGH: int = 2")

    assert asked(project, 2) == ["enough", ".so"]
    assert list((project / "bftcluster").glob("*.so")) == []


@pytest.mark.slow
def test_assertions_stay_on(project: Path) -> None:
    question = """
from bftcluster.rules import vote
try:
    vote(-1)
except AssertionError as exc:
    print("stopped:", exc)
"""
    assert "stopped: votes are counted" in compiled("-c", question, root=project)


@pytest.mark.slow
def test_a_value_of_another_type_is_refused_where_it_enters(project: Path) -> None:
    question = """
from bftcluster.rules import vote
try:
    vote("4")
except TypeError as exc:
    print("refused:", exc)
"""
    assert "refused: int object expected; got str" in compiled("-c", question, root=project)


@pytest.mark.slow
def test_every_module_of_the_list_is_compiled_and_the_command_says_so() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    patterns = table["targets"]["wheel"]["hooks"]["custom"]["compiled"]
    paths = sorted(path.relative_to(ROOT) for each in patterns for path in ROOT.glob(each))
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths]
    assert "bftcluster.pbft.replica" in names

    question = f"""
from importlib import import_module
print([n for n in {names} if not import_module(n).__file__.endswith(".so")])
"""
    assert compiled("-c", question).splitlines()[-1] == "[]"
    said = compiled("-m", "bftcluster_cli", "version", "--json").splitlines()[-1]
    assert json.loads(said)["core"] == "compiled"


@pytest.mark.slow
def test_compiled_and_interpreted_leave_the_same_traces() -> None:
    scenarios = ("-m", "tests.determinism.scenarios")
    interpreted = run(sys.executable, *scenarios, PYTHONHASHSEED="0").splitlines()

    assert len(interpreted) > 5
    assert compiled(*scenarios).splitlines()[-len(interpreted) :] == interpreted


@pytest.mark.slow
def test_the_arithmetic_of_reputation_answers_alike_interpreted_compiled_and_by_numba() -> None:
    said = compiled("-m", "tests.unit.reputation.forms", "1000000").splitlines()[-1]

    assert said == "compiled: 1000000 vectors for each function, differing: []"


@pytest.mark.slow
def test_a_wheel_holds_the_compiled_core_beside_its_sources(tmp_path: Path) -> None:
    names = contents(built_wheel(tmp_path))

    assert "bftcluster/pbft/replica.py" in names
    assert any(n.startswith("bftcluster/pbft/replica.") and n.endswith(".so") for n in names)
    assert any("__mypyc." in name and "/" not in name for name in names)


@pytest.mark.slow
def test_without_a_compiler_a_wheel_holds_the_sources_alone(tmp_path: Path) -> None:
    wheel = built_wheel(tmp_path, CC="/no/compiler")

    assert wheel.name.endswith("-none-any.whl")
    assert not any(name.endswith(".so") for name in contents(wheel))


def built_wheel(folder: Path, **environment: str) -> Path:
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    run(*pip, "--no-index", "--wheel-dir", folder, ROOT, **environment)
    (wheel,) = folder.glob("*.whl")
    return wheel


def contents(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()
