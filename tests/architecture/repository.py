"""What the house rules are checked against: the files that are, or are about to be, committed."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE_FOLDERS = ("bftcluster", "cli", "simulations")
CORE = (
    "pbft",
    "ledger",
    "sync",
    "allocation",
    "reputation",
    "pins",
    "signing",
    "codec",
    "cid",
    "membership",
    "errors",
)


@cache
def files() -> tuple[Path, ...]:
    """Return every file that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = sorted({ROOT / name for name in listed.split("\0") if name})
    return tuple(path for path in paths if path.is_file())


def modules(*folders: str) -> list[Path]:
    """Return the Python files below ``folders``, or all of them."""
    return [
        path
        for path in files()
        if path.suffix == ".py" and (not folders or name_of(path).startswith(folders))
    ]


def core_modules() -> list[Path]:
    """Return the modules that must do no I/O."""
    return modules(*(f"bftcluster/{name}{end}" for name in CORE for end in ("/", ".py")))


def name_of(path: Path) -> str:
    """Return the path as git writes it."""
    return path.relative_to(ROOT).as_posix()
