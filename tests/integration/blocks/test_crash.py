"""A process that adds is killed; a disk is really full."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bftcluster.blocks.dag.walk import walk
from bftcluster.blocks.port import Damage
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.cid import parse

REPOSITORY = Path(__file__).parents[3]
QUOTA = 1 << 30


def adding(store: Path, seed: int, quota: int = QUOTA, *prefix: str) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("adding_process.py")
    return subprocess.Popen(
        [*prefix, sys.executable, str(script), str(store), str(quota), str(seed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )


def test_whatever_was_acknowledged_survives_a_kill_and_nothing_half_done_does(
    tmp_path: Path,
) -> None:
    acknowledged: list[str] = []
    for seed in range(4):
        child = adding(tmp_path, seed)
        assert child.stdout is not None
        acknowledged += [child.stdout.readline().strip() for _ in range(3 + seed)]
        child.kill()
        rest, _ = child.communicate()
        acknowledged += [line for line in rest.split("\n")[:-1] if line]

        with EmbeddedStore(tmp_path, QUOTA) as store:
            roots = {root.cid for root in store.roots()}
            kept = {block.cid for root in roots for block in walk(store, root)}
            assert all(root.complete for root in store.roots())
            assert roots >= {parse(line) for line in acknowledged}
            assert len(roots) <= len(acknowledged) + seed + 1
            assert store.stat().blocks == len(kept)
            assert store.scrub().blocks == len(kept)
            assert store.damage() == Damage()
        assert len(list((tmp_path / "blocks").glob("*/*"))) == len(kept)


@pytest.mark.slow
def test_a_disk_that_is_really_full_is_an_error_with_a_hint_and_loses_nothing(
    tmp_path: Path,
) -> None:
    small = 'mount -t tmpfs -o size=40m none "$0" && exec "$@"'
    check = (
        "import sys; from pathlib import Path\n"
        "from bftcluster.blocks.store.embedded_store import EmbeddedStore\n"
        "store = EmbeddedStore(Path(sys.argv[1]), 1 << 30)\n"
        "store.scrub(); print(len(store.roots()), store.damage().found)"
    )
    run = (
        f'"{sys.executable}" "{Path(__file__).with_name("adding_process.py")}" "$0" {QUOTA} 0'
        f' ; "{sys.executable}" -c \'{check}\' "$0"'
    )
    path = str(tmp_path)
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", small, path, "sh", "-c", run, path],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        timeout=120,
        check=False,
    )

    *acknowledged, last = done.stdout.strip().split("\n")
    assert "StoreFullError" in done.stderr, done.stderr
    assert len(acknowledged) > 20
    assert last == f"{len(acknowledged)} 0", done.stderr
