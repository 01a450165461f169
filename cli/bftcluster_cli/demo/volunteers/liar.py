"""A peer that says it holds whatever it is given, and holds nothing: run as a process of its own.

It is the peer that everybody runs, but for its store, which says that all is here, and for its
answers in audits, which it makes up. What it signs and sends is its own; nobody else is changed.
"""

import hashlib
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from bftcluster.blocks.block_pin_store import BlockPinStore
from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.ledger.state.audit_rows import Challenge
from bftcluster.node.daemon import run_peer
from bftcluster.node.loops.audits import AuditLoop


async def _present(_: BlockPinStore, cids: Sequence[Cid]) -> list[bool]:
    return [True] * len(cids)


async def _pin_present(_: BlockPinStore, cids: Collection[Cid]) -> Collection[Cid]:
    return cids


async def _pin(_: BlockPinStore, __: Cid, ___: Sequence[PeerId]) -> int:
    return 0


def _digest(_: AuditLoop, challenge: Challenge) -> bytes:
    return hashlib.sha256(b"made up" + challenge.seed).digest()


def main() -> None:
    """Run the peer in the directory that the command line names, and lie."""
    for name, lie in (("present", _present), ("pin_present", _pin_present), ("pin", _pin)):
        setattr(BlockPinStore, name, lie)
    setattr(AuditLoop, "_digest", _digest)  # noqa: B010 - the type checker knows another
    run_peer(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
