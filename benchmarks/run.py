"""Run benchmarks, print a table, keep the numbers in results.json.

python -m benchmarks.run                 all of them
python -m benchmarks.run codec ledger    these
"""

import dataclasses
import json
import sys
import time
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.result import Result

RESULTS = Path(__file__).with_name("results.json")
ORDER = (
    "crypto",
    "threshold",
    "codec",
    "cli",
    "api",
    "ledger",
    "allocation",
    "volunteers",
    "install",
    "core",
    "pins",
    "faults",
    "blocks",
    "followers",
    "light",
    "sim",
)
"""The modules ``bench_…`` in the order in which they run."""


def main(names: Sequence[str]) -> int:
    """Run the named benchmarks, or all, and return the exit code."""
    if unknown := sorted(set(names) - set(ORDER)):
        print(f"error: no benchmark named {', '.join(unknown)}", file=sys.stderr)
        print(f"\nhint: there are {', '.join(ORDER)}", file=sys.stderr)
        return 2
    results = []
    for name in names or ORDER:
        start = time.monotonic()
        results += measure(name)
        print(f"{name}: {time.monotonic() - start:.1f} s", file=sys.stderr)
    print(table(results))
    keep(results, replace_all=not names)
    return 0


def measure(name: str) -> list[Result]:
    """Run one module and say in each of its results how to repeat it."""
    module = import_module(f"benchmarks.bench_{name}")
    command = f"python -m benchmarks.run {name}"
    results: list[Result] = module.run()
    return [dataclasses.replace(result, command=command) for result in results]


def table(results: Iterable[Result]) -> str:
    """Return the results in columns."""
    lines = [f"{'benchmark':<34} {'value':>12} {'unit':<6} {'limit':>12} {'of limit':>9}"]
    for result in results:
        limit = "" if result.limit is None else f"{result.limit:,.4g}"
        ratio = "" if result.ratio is None else f"{result.ratio:.0%}"
        value = f"{result.value:,.0f}" if result.value >= 1000 else f"{result.value:.4g}"
        lines.append(f"{result.name:<34} {value:>12} {result.unit:<6} {limit:>12} {ratio:>9}")
    return "\n".join(lines)


def keep(results: Iterable[Result], *, replace_all: bool) -> None:
    """Write the rows, beside those of an earlier run that this one did not measure again."""
    rows = {result.name: result.as_row() for result in results}
    if not replace_all and RESULTS.exists():
        earlier = json.loads(RESULTS.read_text(encoding="utf-8"))
        rows = {row["name"]: row for row in earlier} | rows
    RESULTS.write_text(json.dumps(list(rows.values()), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
