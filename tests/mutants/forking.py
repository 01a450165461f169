"""A process that has imported what tests need from elsewhere, and runs pytest in forks of itself.

It runs as a script, so that it knows nothing of the project's packages: each fork imports those of
the copy that it is told of. Most tests that kill a mutant take less time than the other imports.
"""

import importlib
import json
import os
import sys
import traceback

LIBRARIES = (
    "hypercorn.trio", "httpx", "hypothesis.stateful", "libp2p", "nacl.signing", "pytest",
    "sqlalchemy.dialects.sqlite", "structlog", "trio.testing", "typer",
)  # fmt: skip
BEGUN_EARLY = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
"""Some of these are plugins too, whose assertions pytest can no longer rewrite."""
RAISED = 1
"""The exit code of an interpreter that ends with an exception."""


def main() -> None:
    """Run pytest as each line says, a JSON object, and answer with its exit code."""
    sys.path.pop(0)
    for name in LIBRARIES:
        importlib.import_module(name)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                run(order["root"], order["paths"], order["arguments"], order["output"])
            except BaseException:  # noqa: BLE001 - a fork must not go on as its parent
                traceback.print_exc()
                os._exit(RAISED)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def run(root: str, paths: list[str], arguments: list[str], output: str) -> None:
    """Become one run of pytest in the copy at ``root``; what it says goes to a file."""
    import pytest

    os.chdir(root)
    said = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number, stream in enumerate((os.open(os.devnull, os.O_RDONLY), said, said)):
        os.dup2(stream, number)
    sys.path[:0] = paths
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    code = pytest.main([*BEGUN_EARLY, *arguments])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
