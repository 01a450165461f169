"""Compile the core with mypyc: for the wheel, and for tests and benchmarks of what is in it.

    python scripts/compile_core.py                      build/compiled is what users get
    python scripts/compile_core.py pytest tests/unit    the same, then a command that uses it

Compiled modules never lie beside the sources that they were made of, and nothing but this script
selects them: it compiles again whatever has changed since, so nobody runs what is out of date.
"""

import contextlib
import fcntl
import hashlib
import os
import shlex
import shutil
import sys
import sysconfig
import tomllib
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parents[1]
PACKAGE = "bftcluster"
SEARCH_PATH = ("build/compiled", ".", "cli", "simulations")
MYPY_OPTIONS = ("--config-file=", "--no-site-packages", "--ignore-missing-imports")
"""Other packages count as untyped, so that it does not matter which of them are installed."""


class CompiledWheel(BuildHookInterface[Any]):
    """Puts compiled modules into the wheel, beside their sources, if there is a C compiler.

    An editable installation stays interpreted, and so does one under ``HATCH_BUILD_NO_HOOKS=true``.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and tell the builder what to include; called by hatchling."""
        if version == "editable":
            return
        if not has_compiler():
            self.app.display_warning("no C compiler: the core will be interpreted, and slower")
            return
        with alone(Path(self.root)):
            folder = compile_core(Path(self.root))
        extensions = sorted(folder.rglob("*.so"))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"] |= {str(e): str(e.relative_to(folder)) for e in extensions}


def main(command: list[str]) -> None:
    """Bring ``build/compiled`` up to date and become ``command``, which finds the package there."""
    with alone(ROOT):
        assemble(ROOT)
    if command:
        paths = os.pathsep.join(str(ROOT / path) for path in SEARCH_PATH)
        # pytest and `python -m` would otherwise put the sources first.
        os.environ |= {"PYTHONPATH": paths, "PYTHONSAFEPATH": "1"}
        os.environ["PYTEST_ADDOPTS"] = "-o pythonpath= " + os.environ.get("PYTEST_ADDOPTS", "")
        os.execvp(command[0], command)  # noqa: S606 - what the caller asked for


def assemble(root: Path) -> None:
    """Make ``build/compiled`` hold the whole package as it is now."""
    target = root / "build" / "compiled"
    sources = sorted((root / PACKAGE).rglob("*.py"))
    inputs = digest([*sources, *build_files(root)])
    if recorded(target) != inputs:
        compiled = compile_core(root)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(
            root / PACKAGE, target / PACKAGE, ignore=shutil.ignore_patterns("__pycache__")
        )
        shutil.copytree(compiled, target, dirs_exist_ok=True)
        record(target, inputs)


def compile_core(root: Path) -> Path:
    """Return the folder with the extension modules, made anew if any of their sources changed."""
    table = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    patterns = table["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["compiled"]
    sources = sorted({path for pattern in patterns for path in root.glob(pattern)})
    work = root / "build" / "core"
    inputs = digest([*sources, *build_files(root)])
    if recorded(work) != inputs:
        shutil.rmtree(work, ignore_errors=True)
        with contextlib.chdir(root):
            _compile([str(path.relative_to(root)) for path in sources], work.relative_to(root))
        record(work, inputs)
    return work / "lib"


def _compile(sources: list[str], work: Path) -> None:
    """Compile ``sources`` into ``work / "lib"``, as many at once as there are processors."""
    from setuptools import Distribution  # isort: skip - mypyc uses it if it is imported by then
    from mypyc.build import mypycify
    from setuptools.command.build_ext import build_ext

    class Build(build_ext):
        def build_extensions(self) -> None:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                _compile_in(pool, self.compiler)
                super().build_extensions()

    extensions = mypycify(
        [*MYPY_OPTIONS, f"--cache-dir={work / 'types'}", *sources],
        opt_level="2",
        debug_level="0",
        multi_file=True,
        target_dir=str(work / "c"),
    )
    for extension in extensions:
        extension.extra_compile_args.append("-Wno-error")  # a later compiler may warn of more
    build = Build(Distribution({"name": PACKAGE, "ext_modules": extensions}))
    build.build_lib, build.build_temp = str(work / "lib"), str(work / "objects")
    build.ensure_finalized()
    build.run()


def _compile_in(pool: ThreadPoolExecutor, compiler: Any) -> None:  # noqa: ANN401 - of setuptools
    """Let ``compiler`` hand the files of an extension to ``pool``, and wait for all of them."""
    jobs: list[Future[None]] = []
    compile_all, compile_one = compiler.compile, compiler._compile  # noqa: SLF001

    def compile_together(*args: object, **options: object) -> object:
        objects = compile_all(*args, **options)
        for job in jobs:
            job.result()
        return objects

    compiler.compile = compile_together
    compiler._compile = lambda *each: jobs.append(pool.submit(compile_one, *each))  # noqa: SLF001


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Wait until no other process builds at ``root``."""
    (root / "build").mkdir(exist_ok=True)
    with (root / "build" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def has_compiler() -> bool:
    """Return whether there is the C compiler that ``$CC`` or this Python's build names."""
    named = os.environ.get("CC") or sysconfig.get_config_var("CC") or ""
    return shutil.which(next(iter(shlex.split(named)), "")) is not None


def build_files(root: Path) -> list[Path]:
    """Return what decides about a build, besides the sources."""
    return [root / "pyproject.toml", Path(__file__)]


def digest(files: Iterable[Path]) -> str:
    """Return what changes with any of the files, the interpreter, and the compiler's settings."""
    environment = [sys.version, *(os.environ.get(name, "") for name in ("CC", "CFLAGS"))]
    state = hashlib.sha256(repr(environment).encode())
    for path in files:
        state.update(f"{path.name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return state.hexdigest()


def recorded(folder: Path) -> str:
    """Return the digest of what ``folder`` was made of, or nothing."""
    path = folder / "inputs"
    return path.read_text(encoding="ascii") if path.exists() else ""


def record(folder: Path, inputs: str) -> None:
    """Say that ``folder`` is complete, and what it was made of."""
    (folder / "inputs").write_text(inputs, encoding="ascii")


if __name__ == "__main__":
    main(sys.argv[1:])
