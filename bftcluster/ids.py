"""Identifiers, each of its own type, so that one cannot be passed where another is meant.

And numbers of which people see a word.
"""

from enum import IntEnum
from typing import NewType

PeerId = NewType("PeerId", bytes)
"""A peer's Ed25519 public key, 32 bytes. ``signing.keys`` makes and reads its libp2p text form."""

ReplicaId = NewType("ReplicaId", bytes)
"""The ``PeerId`` of a peer that votes in PBFT (32 bytes; any unique bytes in a simulation)."""

MaintainerId = NewType("MaintainerId", bytes)
"""A maintainer's Ed25519 public key, 32 bytes."""

ClusterId = NewType("ClusterId", bytes)
"""SHA-256 of the canonical genesis, 32 bytes: two clusters never share one."""

InviteKey = NewType("InviteKey", bytes)
"""The Ed25519 public key of one invitation, 32 bytes."""

Epoch = NewType("Epoch", int)
"""Membership generation, from 0."""

View = NewType("View", int)
"""PBFT view within an epoch, from 0. The primary of view v is replica v mod n."""

Seq = NewType("Seq", int)
"""Position in the order, from 1. 0 is the genesis state."""

Digest = NewType("Digest", bytes)
"""SHA-256, 32 bytes."""


class WordedNumber(IntEnum):
    """A number on the wire or for programs, and a word for people."""

    @property
    def word(self) -> str:
        """Its name in JSON and for people: ``pin_queued``, ``volunteer``."""
        return self.name.lower()
