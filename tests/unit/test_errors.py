"""The error tree: what its docstring draws is what the classes are."""

import importlib
import inspect
import pkgutil
import re

import pytest

import bftcluster
from bftcluster import errors
from bftcluster.errors import BrokenPromiseError, ClusterError, ThresholdNotMetError


def drawn_tree() -> dict[str, str]:
    """Return each error's parent as the module's docstring draws it."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for indent, name in re.findall(r"^([│├└─ ]*)(\w+Error)\b", errors.__doc__ or "", re.MULTILINE):
        del path[len(indent) // 4 :]
        if path:
            parents[name] = path[-1]
        path.append(name)
    return parents


def errors_of(module: object) -> list[type[ClusterError]]:
    found = inspect.getmembers(module, inspect.isclass)
    return [kind for _, kind in found if issubclass(kind, ClusterError)]


def test_the_drawn_tree_is_the_real_one() -> None:
    real = {kind.__name__: kind.__mro__[1].__name__ for kind in errors_of(errors)}
    assert real.pop("ClusterError") == "Exception"

    assert drawn_tree() == real


def test_every_expected_failure_of_the_core_is_in_the_tree_and_named_error() -> None:
    for name in ("codec", "cid", "membership", "signing", "pbft", "ledger", "pins", "reputation"):
        package = importlib.import_module(f"bftcluster.{name}")
        paths = getattr(package, "__path__", [])
        names = [info.name for info in pkgutil.walk_packages(paths, f"{package.__name__}.")]
        for module in (package, *map(importlib.import_module, names)):
            for _, kind in inspect.getmembers(module, inspect.isclass):
                if issubclass(kind, Exception) and kind.__module__.startswith("bftcluster."):
                    assert issubclass(kind, ClusterError) or kind is BrokenPromiseError, kind
                    assert kind.__name__.endswith("Error"), kind


def test_a_bug_is_outside_the_tree() -> None:
    assert not issubclass(AssertionError, ClusterError)
    assert not issubclass(BrokenPromiseError, ClusterError)


def test_messages_begin_in_lower_case_and_hints_too_for_the_command_line_prints_them() -> None:
    for kind in errors_of(errors):
        assert kind.hint == "" or not kind.hint.endswith(".")
        assert kind.hint[:1] == kind.hint[:1].lower()


def test_a_hint_given_replaces_the_class_s_own() -> None:
    assert ClusterError("no").hint == ""
    assert ClusterError("no", hint="try again").hint == "try again"
    assert errors.StoreFullError("full").hint.startswith("raise `storage.quota`")
    assert errors.StoreFullError("full", hint="buy a disk").hint == "buy a disk"


def test_a_missed_threshold_says_how_many_and_who() -> None:
    error = ThresholdNotMetError(required=3, signers=[b"b", b"a", b"a"])

    assert str(error) == "2 of 3 required signatures"
    assert (error.required, error.signers) == (3, {b"a", b"b"})
    assert error.hint


def test_the_version_is_the_packages() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", bftcluster.__version__)


@pytest.mark.parametrize("kind", errors_of(errors), ids=lambda kind: kind.__name__)
def test_every_error_says_in_one_sentence_what_it_means(kind: type[ClusterError]) -> None:
    assert kind.__doc__
    assert kind.__doc__.splitlines()[0].endswith(".")
