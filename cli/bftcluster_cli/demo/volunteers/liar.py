"""A peer that says it holds whatever it is given, and holds nothing: run as a process of its own.

It is the peer that everybody runs, but for its store, which says that all is here, and for its
answers in audits, which it makes up. What it signs and sends is its own; nobody else is changed.
"""

import hashlib
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from bftcluster.blocks.block_pin_store import BlockPinStore
from bftcluster.blocks.port import BlockSource
from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.ledger.state.audit_rows import Challenge
from bftcluster.node.daemon import run_peer
from bftcluster.node.loops import audits


async def _present(_: BlockPinStore, cids: Sequence[Cid]) -> list[bool]:
    return [True] * len(cids)


async def _pin_present(_: BlockPinStore, cids: Collection[Cid]) -> Collection[Cid]:
    return cids


async def _pin(_: BlockPinStore, __: Cid, ___: Sequence[PeerId]) -> int:
    return 0


def _digest(_: BlockSource, challenge: Challenge) -> bytes:
    return hashlib.sha256(b"made up" + challenge.seed).digest()


def main() -> None:
    """Run the peer in the directory that the command line names, and lie."""
    for place, name, lie in (
        (BlockPinStore, "present", _present),
        (BlockPinStore, "pin_present", _pin_present),
        (BlockPinStore, "pin", _pin),
        (audits, "digest_to_answer", _digest),
    ):
        assert hasattr(place, name), "a lie takes the place of something"
        setattr(place, name, lie)
    run_peer(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
