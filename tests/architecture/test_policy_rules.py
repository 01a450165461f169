"""What one source for CPython, mypyc and numba may hold."""

import ast
from collections.abc import Iterator

import pytest

from bftcluster.reputation import arithmetic
from tests.architecture.repository import ROOT

SOURCE = (ROOT / "bftcluster" / "reputation" / "arithmetic.py").read_text(encoding="utf-8")
IMPORTS = {"collections.abc", "typing"}
TYPES = {"int", "Sequence[int]"}
BUILT_INS = {"len", "range"}
LARGEST = (1 << 63) - 1
SHIFT_MAX = 62
STATEMENTS = (ast.Assign, ast.AugAssign, ast.Expr, ast.For, ast.If, ast.Return)
EXPRESSIONS = (
    ast.BinOp, ast.BoolOp, ast.Call, ast.Compare, ast.Constant, ast.Name, ast.Subscript,
)  # fmt: skip
"""Hence no attribute, walrus, generator, container, condition in an expression or f-string."""
OPERATORS = (
    ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod,
    ast.LShift, ast.RShift, ast.BitAnd, ast.BitOr, ast.BitXor,
)  # fmt: skip


def violations(source: str) -> list[str]:
    """Return what in ``source`` breaks a rule, with its line."""
    return [f"{node.lineno}: {what}" for node, what in _broken(ast.parse(source))]


def _broken(tree: ast.Module) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    names = {function.name for function in functions}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module in IMPORTS:
            continue
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "Final":
            continue
        if not isinstance(node, ast.FunctionDef) and not _is_text(node):
            yield node, "neither a function nor a Final constant"
    for function in functions:
        yield from _of_signature(function)
        for statement in function.body:
            for node in ast.walk(statement):
                yield from _of_node(node, names)
        yield from _of_shifts(function)
        if function.name != "clamp":
            yield from _of_arguments(function, names)


def _of_signature(function: ast.FunctionDef) -> Iterator[tuple[ast.stmt, str]]:
    spec = function.args
    if spec.kwonlyargs or spec.vararg or spec.kwarg or spec.defaults:
        yield function, "other than positional arguments"
    types = {ast.unparse(each.annotation) if each.annotation else "" for each in spec.args}
    if not types <= TYPES or function.returns is None or ast.unparse(function.returns) != "int":
        yield function, "types other than int and Sequence[int]"
    if "Bounds:" not in (ast.get_docstring(function) or ""):
        yield function, "no proof of its bounds"
    if function.decorator_list:
        yield function, "decorated"


def _of_node(node: ast.AST, names: set[str]) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    if isinstance(node, ast.stmt) and not isinstance(node, STATEMENTS):
        yield node, f"a statement: {type(node).__name__}"
    if isinstance(node, ast.expr) and not isinstance(node, EXPRESSIONS):
        yield node, f"an expression: {type(node).__name__}"
    if isinstance(node, ast.BinOp | ast.AugAssign) and not isinstance(node.op, OPERATORS):
        yield node, f"an operator: {type(node.op).__name__}"
    if isinstance(node, ast.Constant) and type(node.value) is int and node.value > LARGEST:
        yield node, "a constant of 2^63 or more"
    if isinstance(node, ast.Constant) and type(node.value) not in {int, str}:
        yield node, "a constant that is no integer"
    if isinstance(node, ast.Call):
        known = isinstance(node.func, ast.Name) and node.func.id in names | BUILT_INS
        if not known or node.keywords:
            yield node, "a call of another function, or by keyword"


def _of_shifts(function: ast.FunctionDef) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    """Yield shifts by neither a small constant nor a name that is clamped to small constants."""
    clamped = {
        statement.targets[0].id
        for statement in ast.walk(function)
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and _is_clamp(statement.value)
        and isinstance(statement.value, ast.Call)
        and _least_and_most(statement.value)
    }
    for node in ast.walk(function):
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(
            node.op, ast.LShift | ast.RShift
        ):
            by = node.right if isinstance(node, ast.BinOp) else node.value
            fixed = isinstance(by, ast.Constant) and by.value in range(SHIFT_MAX + 1)
            if not fixed and not (isinstance(by, ast.Name) and by.id in clamped):
                yield node, "a shift by an unknown number"


def _least_and_most(call: ast.Call) -> bool:
    ends = [each.value for each in call.args[1:] if isinstance(each, ast.Constant)]
    named = [getattr(arithmetic, e.id, None) for e in call.args[1:] if isinstance(e, ast.Name)]
    return len(ends + named) == 2 and all(n in range(SHIFT_MAX + 1) for n in ends + named)


def _of_arguments(
    function: ast.FunctionDef, names: set[str]
) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    """Yield where an argument is computed with before it is clamped or masked."""
    parents = {child: node for node in ast.walk(function) for child in ast.iter_child_nodes(node)}
    for parameter in (each.arg for each in function.args.args):
        cleaned = min(
            (node.lineno for node in ast.walk(function) if _cleans(node, parameter)),
            default=LARGEST,
        )
        for node in ast.walk(function):
            if (
                isinstance(node, ast.Name)
                and node.id == parameter
                and isinstance(node.ctx, ast.Load)
                and node.lineno <= cleaned
                and not _is_harmless(node, parents, names)
            ):
                yield node, f"{parameter} is used before it is clamped"


def _cleans(node: ast.AST, parameter: str) -> bool:
    if isinstance(node, ast.AugAssign):
        return _named(node.target) == parameter and isinstance(node.op, ast.BitAnd)
    return (
        isinstance(node, ast.Assign)
        and _named(node.targets[0]) == parameter
        and _is_clamp(node.value)
    )


def _is_harmless(node: ast.Name, parents: dict[ast.AST, ast.AST], names: set[str]) -> bool:
    parent = parents[node]
    if isinstance(parent, ast.Call):
        return _named(parent.func) in names | {"len"}
    if isinstance(parent, ast.Subscript):
        above = parents[parent]
        return isinstance(above, ast.Call) and _is_clamp(above)
    if isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.BitXor):
        above = parents[parent]
        return isinstance(above, ast.BinOp) and isinstance(above.op, ast.BitAnd)
    return isinstance(parent, ast.Compare)


def _is_clamp(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and _named(node.func) == "clamp"


def _named(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def test_the_arithmetic_of_reputation_keeps_the_rules() -> None:
    assert violations(SOURCE) == []


def test_its_constants_fit_64_bits() -> None:
    numbers = [value for value in vars(arithmetic).values() if type(value) is int]

    assert len(numbers) > 20
    assert max(numbers) <= LARGEST
    assert min(numbers) >= 0


HEAD = "def clamp(value: int, low: int, high: int) -> int:\n    'Bounds: those of the arguments.'\n"


def one(signature: str, *body: str) -> str:
    """Return a module of `clamp` and one more function."""
    lines = "".join(f"    {line}\n" for line in ("'Bounds: proven.'", *body))
    return f"{HEAD}    return value\n\n\ndef f({signature}) -> int:\n{lines}"


BREACHES: dict[str, str] = {
    "keyword-only": one("*, a: int", "return 1"),
    "a default": one("a: int = 1", "return 1"),
    "another type": one("a: float", "return 1"),
    "no proof": one("a: int", "return 1").replace("Bounds: proven", "Proven"),
    "a method": one("a: int", "a = clamp(a, 0, 1)", "return a.bit_length()"),
    "a walrus": one("a: int", "a = clamp(a, 0, 1)", "return (b := a)"),
    "a generator": one("a: int", "return len(x for x in range(3))"),
    "an exception": one("a: int", "raise ValueError"),
    "an assertion": one("a: int", "assert a > 0", "return 1"),
    "a loop without end": one("a: int", "while a > 0:", "    pass", "return 1"),
    "a division": one("a: int", "a = clamp(a, 0, 1)", "return a / 2"),
    "a power": one("a: int", "a = clamp(a, 0, 1)", "return a ** 2"),
    "a negation": one("a: int", "a = clamp(a, 0, 1)", "return -a"),
    "a constant": one("a: int", "return 9223372036854775808"),
    "a float": one("a: int", "return 1.0"),
    "a long shift": one("a: int", "a = clamp(a, 0, 1)", "return a << 63"),
    "a shift by an argument": one("a: int", "return 1 << a"),
    "a shift by too much": one("a: int", "a = clamp(a, 0, 63)", "return 1 << a"),
    "an argument as it came": one("a: int", "return a + 1"),
    "clamped too late": one("a: int", "b = a + 1", "a = clamp(a, 0, 1)", "return b"),
    "an entry as it came": one("a: Sequence[int]", "return a[0] + 1"),
    "a foreign call": one("a: int", "return abs(a)"),
    "a foreign import": "import math\n" + one("a: int", "return 1"),
    "a variable": "state = 1\n" + one("a: int", "return 1"),
}


@pytest.mark.parametrize("what", BREACHES)
def test_a_breach_of_a_rule_is_found(what: str) -> None:
    assert violations(BREACHES[what]) != []


def test_what_keeps_the_rules_is_not_found() -> None:
    assert violations(one("a: int", "a = clamp(a, 0, 62)", "return 1 << a")) == []
