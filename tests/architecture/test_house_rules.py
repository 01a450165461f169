"""The rules of the house that no linter knows."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.architecture.repository import CORE, ROOT, core_modules, files, modules, name_of

MODULE_LINES_MAX = 400
FOLDER_MODULES_MAX = 20
FUNCTION_LINES_MAX = 60

# Written in two halves, so that this file does not break its own rules.
BANNED = {
    "unfinished work": r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b|raise NotImplemented" r"Error(?!\(.)",
    "a test that may fail or not run": r"pytest\.(?:mark\.)?(?:sk"
    r"ip|xf"
    r"ail|importor"
    r"skip)|\bflaky\b",
    "a swallowed error": r"except(?: Exception| BaseException)?:\s*(?:pass|\.\.\.)",
    "an ignored type without its code": r"# type: ig" r"nore(?!\[)",
}
FOREIGN = {
    "a path of one machine": r"/wo" r"rk/|/ro" r"ot/|\.\./sha" r"red",
    "a package registry": r"pypi\.o" r"rg|pythonho" r"sted|npm" r"js|registry\.y" r"arnpkg",
}
BINARY = {".png", ".car", ".bin", ".ico", ".woff2", ".gz"}
INTERPRETED = {
    "bftcluster/errors.py",
    "bftcluster/membership.py",
}
"""Why, says ADR 19."""
INTEGERS_ONLY = ("allocation", "ledger", "pbft", "reputation")
IMPURE = {"open", "print", "input", "hash", "id", "exec", "eval", "breakpoint"}


def test_layers_and_import_contracts_hold() -> None:
    # In a process of its own: it silences every logger that there is.
    paths = os.pathsep.join(str(ROOT / folder) for folder in (".", "cli", "simulations"))
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports"))],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": paths},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_a_module_is_one_idea() -> None:
    lengths = {name_of(path): len(text_of(path).splitlines()) for path in modules()}

    assert {name: n for name, n in lengths.items() if n > MODULE_LINES_MAX} == {}


def test_a_folder_can_be_looked_through() -> None:
    code = modules("bftcluster/", "cli/", "simulations/", "benchmarks/")
    sizes = Counter(name_of(path.parent) for path in code if path.stem != "__init__")
    del sizes["bftcluster/pbft"]  # Flat: its words are the paper's.

    assert {folder: n for folder, n in sizes.items() if n > FOLDER_MODULES_MAX} == {}


def test_a_function_fits_a_screen() -> None:
    long = {}
    for path in modules("bftcluster/", "cli/", "simulations/", "benchmarks/"):
        for function in functions_of(path):
            # The options of a command are its signature: there, what follows it counts.
            start = function.body[0] if name_of(path).startswith("cli/") else function
            lines = (function.end_lineno or 0) - start.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                long[f"{name_of(path)}:{function.name}"] = lines

    assert long == {}


def test_a_class_of_the_api_or_the_node_has_a_name_of_its_own_in_the_library() -> None:
    homes: dict[str, list[str]] = {}
    for path in modules("bftcluster/"):
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(name_of(path))

    assert len(homes) > 300
    shared = {name: at for name, at in homes.items() if len(at) > 1}
    ours = ("bftcluster/api/", "bftcluster/node/")
    assert {n: at for n, at in shared.items() if any(p.startswith(ours) for p in at)} == {}


@pytest.mark.parametrize("what", BANNED)
def test_no_code_holds(what: str) -> None:
    assert list(found(BANNED[what], modules())) == []


@pytest.mark.parametrize("what", FOREIGN)
def test_no_file_names(what: str) -> None:
    texts = [path for path in files() if path.suffix not in BINARY]

    assert list(found(FOREIGN[what], texts)) == []


def test_the_core_calls_nothing_that_a_seed_does_not_decide() -> None:
    def is_impure(node: ast.AST) -> bool:
        return (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in IMPURE
        )

    assert places(core_modules(), is_impure) == []


def test_what_replicas_agree_on_is_of_integers_only() -> None:
    def is_of_floats(node: ast.AST) -> bool:
        return (isinstance(node, ast.Constant) and isinstance(node.value, float)) or (
            isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
        )

    of_integers = modules(*(f"bftcluster/{name}/" for name in INTEGERS_ONLY))
    assert places(of_integers, is_of_floats) == []


def test_no_loop_moves_its_own_end() -> None:
    # The compiler looks at a range's end again in each turn; the interpreter looks once.
    def moves_its_end(node: ast.AST) -> bool:
        return isinstance(node, ast.For) and bool(
            names_in([node.iter], ast.Load) & names_in(node.body, ast.Store)
        )

    assert places(core_modules(), moves_its_end) == []


def test_no_object_of_the_core_is_initialised_again() -> None:
    # Compiled, what `__init__` assigns takes the place of nothing: what was there is kept for ever.
    def initialises_again(node: ast.AST) -> bool:
        return (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "__init__"
            and not isinstance(node.func.value, ast.Call)
        )

    assert places(core_modules(), initialises_again) == []


def test_every_module_of_the_core_is_compiled_or_known_not_to_be() -> None:
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))
    table = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
    compiled = {path for pattern in table["compiled"] for path in ROOT.glob(pattern)}

    assert {name_of(path) for path in set(core_modules()) - compiled} == INTERPRETED


def test_nothing_but_a_command_sleeps() -> None:
    waiting = modules("bftcluster/", "simulations/", "tests/")

    assert list(found(r"\btime\.sl" r"eep\b", waiting)) == []


def test_threads_are_given_out_in_one_place() -> None:
    places = found(r"\bto_thread\b", modules("bftcluster/"))

    assert {place.partition(":")[0] for place in places} == {"bftcluster/node/process/threads.py"}


def test_the_core_is_tested_without_doubles() -> None:
    tests = modules(*(f"tests/unit/{name}" for name in CORE), "tests/property/")

    assert list(found(r"unittest\.mo" r"ck|mock" r"er\b|monkeypatch\.seta" r"ttr", tests)) == []


def test_what_ci_runs_can_be_run() -> None:
    for script in (".ci/run", "scripts/setup", "scripts/lock"):
        assert os.access(ROOT / script, os.X_OK), script


def found(pattern: str, paths: list[Path]) -> Iterator[str]:
    """Yield where ``pattern`` matches, as name, line and text."""
    compiled = re.compile(pattern)
    for path in paths:
        for number, line in enumerate(text_of(path).splitlines(), start=1):
            if compiled.search(line):
                yield f"{name_of(path)}:{number}: {line.strip()[:80]}"


def places(paths: Iterable[Path], is_fault: Callable[[ast.AST], bool]) -> list[str]:
    """Return where code breaks a rule, with its first line."""
    return [
        f"{name_of(path)}:{getattr(node, 'lineno', 0)}: {ast.unparse(node).splitlines()[0]}"
        for path in paths
        for node in ast.walk(tree_of(path))
        if is_fault(node)
    ]


def names_in(nodes: Sequence[ast.AST], context: type[ast.expr_context]) -> set[str]:
    """Return the names that are read, or assigned, anywhere in ``nodes``."""
    return {
        node.id
        for root in nodes
        for node in ast.walk(root)
        if isinstance(node, ast.Name) and isinstance(node.ctx, context)
    }


def functions_of(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def tree_of(path: Path) -> ast.Module:
    return ast.parse(text_of(path))


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")
