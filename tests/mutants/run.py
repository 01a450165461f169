"""Seed one bug at a time and see which test notices it.

python -m tests.mutants.run              all of them
python -m tests.mutants.run quorum wal   those whose name contains one of these words
python -m tests.mutants.run --json       the result as one JSON object on the last line
python -m tests.mutants.run --tests-pass do not run the tests without a mutant first: they passed
python -m tests.mutants.run --some       a fifth of them, others with each commit

Mutants are run in copies, so the working tree is never touched. Exit code: 0 if every
mutant was killed, 1 if one survived or could not be judged, 2 for a name or option there is not.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import cache_from_source
from pathlib import Path

import trio

from tests.mutants.seeded import ROOT, Mutant, catalogue

AT_ONCE = 2
TEST_TIMEOUT_S = 60
"""For one test: a mutant that waits for ever is killed by the timeout, as it is in CI."""
FOLDERS = ("bftcluster", "cli", "simulations", "benchmarks", "tests")
PACKAGES = ("bftcluster", "bftcluster_cli", "bftcluster_sim", "benchmarks", "tests")
FAILED = re.compile(r"^FAILED (?P<test>\S+?::.+?)(?: - (?P<error>.*))?$", re.MULTILINE)
NOT_A_KILL = ("NameError", "UnboundLocalError", "ImportError", "ModuleNotFoundError", "SyntaxError")
"""A mutant that fails like this is not a bug that somebody could have made: it does not run."""
TESTS_FAILED = 1
"""Pytest's exit code; errors while collecting have another."""
CI = {"CI": "true", "PYTHONHASHSEED": "0"}
PARTS = 5
"""Of the catalogue, for `--some`."""
OPTIONS = (
    "-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-o", f"timeout={TEST_TIMEOUT_S}",
    "-m", "not (slow or kubo or js)",
)  # fmt: skip
"""Fast tests, until one fails."""
Pytest = Callable[..., Awaitable[tuple[int, str]]]
"""Takes a copy and pytest's arguments; returns the exit code and the output."""


class BaselineError(Exception):
    """The tests do not pass, or do not run the copy, even without a mutant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What became of one mutant."""

    mutant: Mutant
    killer: str
    """The test that failed, or empty."""
    remark: str
    """Why it is not killed."""
    seconds: float


async def judge_all(mutants: Sequence[Mutant], *, tests_pass: bool) -> list[Judgement]:
    """Return a judgement for each, in order.

    Args:
        mutants: The bugs to seed.
        tests_pass: Believe that the tests pass without a mutant.

    Raises:
        BaselineError: Nothing can be said about any.
    """
    judgements: dict[str, Judgement] = {}
    pending = iter(mutants)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        sound = Path(folder) / "sound"
        copy(ROOT, sound)
        await check_imports(sound)
        if not tests_pass:
            await check_tests(sound, sorted({path for one in mutants for path in one.tests}))

        async def work(root: Path) -> None:
            copy(sound, root)
            async with forking() as pytest:
                for mutant in pending:
                    judgements[mutant.name] = await judge(mutant, sound, root, pytest)
                    say(line(judgements[mutant.name]))

        async with trio.open_nursery() as nursery:
            for number in range(AT_ONCE):
                nursery.start_soon(work, Path(folder) / str(number))
    return [judgements[mutant.name] for mutant in mutants]


async def check_imports(root: Path) -> None:
    """Return if it is the copy at ``root`` that tests import.

    Raises:
        BaselineError: It is not.
    """
    where = f"import {', '.join(PACKAGES)}\nfor p in ({', '.join(PACKAGES)}): print(p.__path__[0])"
    _, places = await python(root, "-c", where)
    if places.split() != [str(root / folder(package)) for package in PACKAGES]:
        raise BaselineError(f"the tests would import what is not the copy:\n{places}")


async def check_tests(root: Path, tests: Sequence[str]) -> None:
    """Return if ``tests`` pass in the copy at ``root``.

    Raises:
        BaselineError: They do not.
    """
    code, output = await python(root, "-m", "pytest", "-n", str(AT_ONCE), *OPTIONS, *tests)
    if code != 0:
        raise BaselineError(f"the tests fail without a mutant:\n{output[-3000:]}")


async def judge(mutant: Mutant, sound: Path, root: Path, pytest: Pytest) -> Judgement:
    """Return what the mutant's tests say about it, in a copy at ``root`` that it leaves sound."""
    start = time.monotonic()
    mutant.seed(root)
    code, output = await pytest(root, *mutant.tests)
    mend(mutant, sound, root)
    killer, remark = verdict(code, output)
    seconds = time.monotonic() - start
    return Judgement(mutant=mutant, killer=killer, remark=remark, seconds=seconds)


def mend(mutant: Mutant, sound: Path, root: Path) -> None:
    """Take the mutant out of the copy at ``root`` again."""
    shutil.copy2(sound / mutant.file, root / mutant.file)
    Path(cache_from_source(root / mutant.file)).unlink(missing_ok=True)


def verdict(code: int, output: str) -> tuple[str, str]:
    """Return the test that killed, or none and why: only a test that ran and failed kills."""
    failed = FAILED.search(output)
    if code == 0:
        return "", "every test passed"
    if code != TESTS_FAILED or failed is None:
        return "", f"pytest ended with {code}, and no test failed: {output[-300:]}"
    error = failed["error"] or ""
    if error.startswith(NOT_A_KILL):
        return "", f"it does not run: {error}"
    return failed["test"], ""


@asynccontextmanager
async def forking() -> AsyncIterator[Pytest]:
    """Give a way to run pytest on a copy, which must not be used twice at once."""
    environment = os.environ | CI
    command = [sys.executable, str(ROOT / "tests" / "mutants" / "forking.py")]
    with tempfile.NamedTemporaryFile(prefix="mutants-") as output:

        async def pytest(root: Path, *arguments: str) -> tuple[int, str]:
            assert process.stdin is not None, "we write to it"
            assert process.stdout is not None, "we read from it"
            order = {
                "root": str(root),
                "paths": [str(path) for path in paths(root)],
                "arguments": [*OPTIONS, *arguments],
                "output": output.name,
            }
            await process.stdin.send_all(json.dumps(order).encode() + b"\n")
            answer = await process.stdout.receive_some()
            return int(answer), await trio.Path(output.name).read_text(errors="replace")

        async with trio.open_nursery() as nursery:
            process = await nursery.start(
                partial(
                    trio.run_process,
                    command,
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            yield pytest
            nursery.cancel_scope.cancel()


async def python(root: Path, *arguments: str) -> tuple[int, str]:
    """Run Python on the copy at ``root``, as CI does: its hypothesis profile, its hash seed."""
    done = await trio.run_process(
        [sys.executable, *arguments],
        cwd=root,
        env=os.environ | CI | {"PYTHONPATH": os.pathsep.join(map(str, paths(root)))},
        check=False,
        capture_stdout=True,
        stderr=subprocess.STDOUT,
    )
    return done.returncode, done.stdout.decode(errors="replace")


def paths(root: Path) -> list[Path]:
    """Return where the packages of the copy at ``root`` are imported from."""
    return [root, root / "cli", root / "simulations"]


def copy(source: Path, target: Path) -> None:
    """Copy what the tests need, with its times, so that compiled modules stay valid."""
    for name in FOLDERS:
        shutil.copytree(source / name, target / name, ignore=shutil.ignore_patterns(".*"))
    shutil.copy2(source / "pyproject.toml", target)


def folder(package: str) -> str:
    """Return where the repository keeps a package."""
    return {"bftcluster_cli": "cli/", "bftcluster_sim": "simulations/"}.get(package, "") + package


def line(judgement: Judgement) -> str:
    """Return one row of the kill table."""
    mutant = judgement.mutant
    fate = judgement.killer or f"SURVIVED: {judgement.remark}"
    return f"{mutant.pitfall:<4} {mutant.name:<58} {judgement.seconds:>5.1f} s  {fate}"


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def some_of(mutants: Sequence[Mutant]) -> list[Mutant]:
    """Return every fifth, beginning where the commit's name says: each is seen in one of five."""
    asked = ("git", "rev-parse", "HEAD")
    said = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return list(mutants[int(said, 16) % PARTS :: PARTS]) if said.strip() else list(mutants)


def main(arguments: Sequence[str]) -> int:
    """Judge the mutants that ``arguments`` name, print the table, and return the exit code.

    Who survived is said again at the end, of which CI shows the last lines.
    """
    words = [argument for argument in arguments if not argument.startswith("--")]
    if unknown := {*arguments} - {*words} - {"--json", "--tests-pass", "--some"}:
        sys.stderr.write(f"error: no option {', '.join(sorted(unknown))}\n")
        return 2
    chosen = [m for m in catalogue() if not words or any(word in m.name for word in words)]
    if "--some" in arguments:
        chosen = some_of(chosen)
    if not chosen:
        sys.stderr.write("error: no mutant has a name like that\n")
        return 2
    judgements: list[Judgement] = []
    start = time.monotonic()
    try:
        tests_pass = "--tests-pass" in arguments
        judgements = trio.run(partial(judge_all, chosen, tests_pass=tests_pass))
    except* BaselineError as group:
        sys.stderr.write(f"error: {group.exceptions[0]}\n")
    except* KeyboardInterrupt:
        sys.stderr.write("\nstopped\n")
    if not judgements:
        return 1
    survived = [judgement.mutant.name for judgement in judgements if not judgement.killer]
    killed = len(judgements) - len(survived)
    for judgement in judgements:
        if not judgement.killer:
            say(line(judgement))
    say(f"{killed} of {len(judgements)} killed in {time.monotonic() - start:.0f} s")
    if "--json" in arguments:
        result = {"mutants": len(judgements), "killed": killed, "survived": survived}
        say(json.dumps(result))
    return int(bool(survived))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
