"""Where each kind of replicated row lives. State is a map (space, key bytes) -> value bytes."""

from enum import IntEnum
from typing import Final

_TREE_FROM: Final = 64
"""Spaces from here on hold the authentication tree itself: derived data, outside the state root."""


class Space(IntEnum):
    """One kind of row. The numbers are part of the disk format and of the state root."""

    META = 0
    """Singletons: the genesis, the head of the log, the current policy's version, counters."""
    POLICY = 1
    """By version (8 bytes, big-endian): the policies there ever were."""
    PEER = 2
    """By peer id: the admitted peers."""
    PIN = 3
    """By CID: the pinset."""
    PROPOSAL = 4
    """By intent digest: intents that collect approvals on the log."""
    NONCE = 5
    """By expiry (8 bytes, big-endian) and intent digest: intents that were used or rejected."""
    DEADLINE = 6
    """By time (8 bytes, big-endian), kind (1 byte) and key: pins and proposals that expire."""
    EPOCH = 7
    """By epoch (8 bytes, big-endian), from 1 on: from when on who votes."""
    EVIDENCE = 8
    """By peer id: proof that it contradicted itself, the first that was ordered."""
    DUTY = 9
    """By peer id: how much a peer is to hold. By peer id and slot (8 bytes, big-endian, in 64ths):
    the pins allocated to it, and what it reported of them. By peer id, and 2^63 plus the number of
    a pin (8 bytes, in 64ths): what it reported of pins that everybody keeps."""
    REPUTATION = 10
    """By peer id: how far to trust it; of some who left, too."""
    REPAIR = 11
    """By live copies (2 bytes, big-endian) and number of the pin (8 bytes): the CIDs of pins that
    have too few, the most endangered first."""
    BEACON = 12
    """By kind and numbers: who holds which group key, what is being dealt, what was drawn."""

    AUDIT = 13
    """By word and number (8 bytes, big-endian): ``challenge/``, the audits that are open. By word
    and peer id: ``verdicts/``, what came of its last ones. Under ``turn``, how far drawing is."""
    INVITE = 14
    """By the invitation's key: what was approved, and who came by it."""

    TREE = 64
    """By path: the nodes of the authentication tree as of the last checkpoint."""
    TREE_PENDING = 65
    """By sequence number (8 bytes, big-endian): changes made since the last checkpoint."""
    BEFORE = 66
    """By space (1 byte) and key: what rows that changed since were at the last checkpoint."""
    EPOCH_LINK = 67
    """By epoch (8 bytes, big-endian), from 1 on: why to believe who votes in it."""
    EARLIER = 68
    """By state root (32 bytes), ``n`` or ``r``, and the key in TREE or BEFORE: what checkpoints
    before the last one held that was replaced since; and under ``roots`` which they are."""


STATE_SPACES: Final = tuple(space for space in Space if space < _TREE_FROM)
"""Those under the state root; they number from 0 without gaps."""

Key = tuple[Space, bytes]
Rows = dict[bytes, bytes | None]
"""Changed rows of one space; ``None`` is deleted."""
