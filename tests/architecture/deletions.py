"""Delete one entry of a table at a time and see who notices: the type checker, or a fast test.

python -m tests.architecture.deletions            all of them
python -m tests.architecture.deletions Step pbft  those whose name contains one of these words

A kind of operation, request, frame or step is one entry of a closed union, an enumeration or a
mapping. A union and an enumeration are watched by the type checker: whoever forgets a kind has a
type error. A mapping is watched by a test. Deleted is in copies, so the working tree is never
touched. Exit code: 0 if every deletion was noticed.
"""

import ast
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from tests.mutants.run import copy, forking, judge, say
from tests.mutants.seeded import ROOT, Mutant

WIRE = "bftcluster/ledger/wire"
SHOWN_MAX_CHARS = 120
DMYPY = (sys.executable, "-m", "mypy.dmypy", "--status-file", ".dmypy.json")


@dataclass(frozen=True, slots=True)
class Table:
    """A closed set of kinds."""

    file: str
    name: str
    tests: tuple[str, ...] = ()
    """Fast tests, of which one must fail. None: the type checker must."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """A table without one of its entries."""

    table: Table
    entry: str
    before: str
    """The source with it."""
    after: str
    """The source without it."""

    @property
    def name(self) -> str:
        """How people find it."""
        return f"{self.table.file}: {self.table.name} without {self.entry}"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a deletion."""

    deletion: Deletion
    noticed_by: str
    """The first error of the type checker, or the first test that failed; empty if nobody did."""

    @property
    def line(self) -> str:
        """A row to read."""
        return f"{self.deletion.name:<84} {(self.noticed_by or 'NOT NOTICED')[:SHOWN_MAX_CHARS]}"


TABLES = (
    Table(f"{WIRE}/operations.py", "Operation"),
    Table(f"{WIRE}/operations.py", "_PARSERS", ("tests/unit/ledger/wire/test_operations.py",)),
    Table(f"{WIRE}/requests.py", "Request"),
    Table(f"{WIRE}/request_kinds.py", "RequestKind"),
    Table(f"{WIRE}/requests.py", "_PARSERS", ("tests/unit/ledger/wire/test_requests.py",)),
    Table("bftcluster/ledger/rules/effects.py", "Effect"),
    Table("bftcluster/pbft/votes.py", "VoteKind"),
    Table("bftcluster/pbft/messages.py", "Message"),
    Table("bftcluster/pbft/frames.py", "PBFT_FRAMES", ("tests/unit/pbft/test_frames.py",)),
    Table("bftcluster/pbft/events.py", "Event"),
    Table("bftcluster/pbft/steps.py", "Step"),
    Table("bftcluster/sync/frames.py", "Question"),
    Table("bftcluster/sync/frames.py", "SyncMessage"),
    Table("bftcluster/sync/frames.py", "Receiver"),
    Table("bftcluster/sync/frames.py", "SYNC_FRAMES", ("tests/unit/sync/test_frames.py",)),
)


def deletions(tables: Sequence[Table] = TABLES) -> list[Deletion]:
    """Return every table without its first entry, without its second, and so on."""
    return [deletion for table in tables for deletion in _deletions_of(table)]


def fates_by_types(chosen: Sequence[Deletion]) -> list[Fate]:
    """Return what the type checker says of each deletion.

    Raises:
        AssertionError: It finds errors where nothing is deleted.
    """
    fates: list[Fate] = []
    with tempfile.TemporaryDirectory(prefix="deletions-") as folder:
        root = Path(folder) / "copy"
        copy(ROOT, root)
        try:
            assert not (said := _type_errors(root)), f"types do not fit as they are:\n{said}"
            for deletion in chosen:
                path = root / deletion.table.file
                path.write_text(deletion.after, encoding="utf-8")
                fates.append(Fate(deletion, _type_errors(root).partition("\n")[0]))
                say(fates[-1].line)
                path.write_text(deletion.before, encoding="utf-8")
        finally:
            subprocess.run([*DMYPY, "stop"], cwd=root, check=False, capture_output=True)
    return fates


async def fates_by_tests(chosen: Sequence[Deletion]) -> list[Fate]:
    """Return what the fast tests of its table say of each deletion."""
    fates: list[Fate] = []
    with tempfile.TemporaryDirectory(prefix="deletions-") as folder:
        sound, root = Path(folder) / "sound", Path(folder) / "copy"
        copy(ROOT, sound)
        copy(sound, root)
        async with forking() as pytest:
            for deletion in chosen:
                mutant = Mutant(
                    name=deletion.name,
                    pitfall="",
                    file=deletion.table.file,
                    old=deletion.before,
                    new=deletion.after,
                    tests=deletion.table.tests,
                )
                judgement = await judge(mutant, sound, root, pytest)
                fates.append(Fate(deletion, judgement.killer))
                say(fates[-1].line)
    return fates


def _type_errors(root: Path) -> str:
    """Return the errors of all modules of the copy; the daemon looks at what has changed."""
    command = [*DMYPY, "run", "--timeout", "600", "--"]
    done = subprocess.run(command, cwd=root, check=False, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout if done.returncode else ""


def _deletions_of(table: Table) -> Iterator[Deletion]:
    source = (ROOT / table.file).read_text(encoding="utf-8")
    [table_node] = [node for node in ast.parse(source).body if _name_of(node) == table.name]
    data, starts = source.encode(), [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def span(node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None, "what was parsed has an end"
        assert node.end_col_offset is not None, "what was parsed has an end"
        return (
            starts[node.lineno - 1] + node.col_offset,
            starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def text(node: ast.expr) -> str:
        return ast.unparse(node)

    def without(start: int, end: int, instead: str = "") -> str:
        return (data[:start] + instead.encode() + data[end:]).decode()

    match table_node:
        case ast.ClassDef(body=body):
            for member in (node for node in body if isinstance(node, ast.Assign)):
                after = without(*span(member), "pass")
                yield Deletion(table, text(member.targets[0]), source, after)
        case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
            if isinstance(value, ast.Dict):
                for key, entry in zip(value.keys, value.values, strict=True):
                    assert key is not None, "a table names its entries"
                    end = data.index(b",", span(entry)[1]) + 1
                    yield Deletion(table, text(key), source, without(span(key)[0], end))
            else:
                kinds = _members(value)
                for kind in kinds:
                    others = " | ".join(text(other) for other in kinds if other is not kind)
                    after = without(*span(value), others)
                    yield Deletion(table, text(kind), source, after)


def _name_of(node: ast.stmt) -> str:
    """Return the name that a statement of a module gives to something."""
    match node:
        case ast.ClassDef(name=name):
            return name
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
        case _:
            return ""


def _members(union: ast.expr) -> list[ast.expr]:
    match union:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return [*_members(left), *_members(right)]
        case _:
            return [union]


def main(words: Sequence[str]) -> int:
    """Delete what ``words`` name, say who noticed each, and return the exit code."""
    chosen = [d for d in deletions() if not words or any(word in d.name for word in words)]
    fates = trio.run(partial(fates_by_tests, [each for each in chosen if each.table.tests]))
    fates += fates_by_types([each for each in chosen if not each.table.tests])
    noticed = sum(bool(fate.noticed_by) for fate in fates)
    say(f"{noticed} of {len(fates)} deletions noticed")
    return int(noticed < len(fates) or not fates)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
