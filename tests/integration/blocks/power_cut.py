"""Cuts the power of a file system under a store that is adding, several times over.

Not a test that `pytest` finds: it needs root, a loop device and ext4. Run it with
`python -m tests.integration.blocks.power_cut`; it prints a line per cut and fails on any loss. What
was not synced is gone at each cut, for ext4 is shut down without flushing its journal.
"""

import fcntl
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from bftcluster.blocks.dag.walk import walk
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.cid import parse

CUTS = 5
QUOTA = 1 << 30
SHUT_DOWN = 0x8004587D
WITHOUT_FLUSHING = struct.pack("I", 2)


def add_until_the_cut(mount: Path, seed: int) -> list[str]:
    """Return the CIDs that were acknowledged."""
    script = Path(__file__).with_name("adding_process.py")
    child = subprocess.Popen(
        [sys.executable, str(script), str(mount / "store"), str(QUOTA), str(seed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    assert child.stdout is not None
    acknowledged = [child.stdout.readline().strip() for _ in range(20 + 7 * seed)]
    descriptor = os.open(mount, os.O_RDONLY)
    fcntl.ioctl(descriptor, SHUT_DOWN, WITHOUT_FLUSHING)
    os.close(descriptor)
    child.kill()
    rest, _ = child.communicate()
    return acknowledged + rest.split()


def check(path: Path, acknowledged: list[str]) -> str:
    """Return a line of numbers; fail if anything is lost, broken or left over."""
    with EmbeddedStore(path, QUOTA) as store:
        roots = {root.cid for root in store.roots()}
        kept = {block.cid for root in roots for block in walk(store, root)}
        assert roots >= {parse(line) for line in acknowledged}, "an acknowledged root is lost"
        assert store.scrub().blocks == len(kept), "a block is missing"
        assert store.damage().found == 0, "a block is broken"
        files = len(list((path / "blocks").glob("*/*")))
        assert files == store.stat().blocks == len(kept), "something half-done is left"
    return f"{len(acknowledged)} acknowledged, {len(roots)} kept, {files} files"


def main() -> None:
    """Make a file system in a file, and cut."""
    with tempfile.TemporaryDirectory() as directory:
        image, mount = Path(directory, "image"), Path(directory, "mount")
        mount.mkdir()
        subprocess.run(["truncate", "-s", "1500M", str(image)], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
        acknowledged: list[str] = []
        for seed in range(CUTS):
            subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=True)
            acknowledged += add_until_the_cut(mount, seed)
            subprocess.run(["umount", str(mount)], check=True)
            subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=True)
            line = check(mount / "store", acknowledged)
            subprocess.run(["umount", str(mount)], check=True)
            sys.stdout.write(f"cut {seed + 1}: {line}\n")


if __name__ == "__main__":
    main()
