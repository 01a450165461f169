"""The project's 32-byte peer ids and libp2p's multihash ids: one key, written two ways."""

from typing import Final

from libp2p.peer.id import ID

from bftcluster.ids import PeerId
from bftcluster.limits import PUBLIC_KEY_SIZE_BYTES

_PREFIX: Final = bytes.fromhex("002408011220")
"""Identity multihash of the protobuf of an Ed25519 public key (libp2p peer-ids specification)."""


def libp2p_id(peer: PeerId) -> ID:
    """Return libp2p's form of ``peer``."""
    assert len(peer) == PUBLIC_KEY_SIZE_BYTES, "a peer id is an Ed25519 public key"
    return ID(_PREFIX + peer)


def peer_id(identity: ID) -> PeerId | None:
    """Return the Ed25519 key that ``identity`` holds; None if it is of another kind."""
    data = identity.to_bytes()
    if len(data) != len(_PREFIX) + PUBLIC_KEY_SIZE_BYTES or not data.startswith(_PREFIX):
        return None
    return PeerId(data[len(_PREFIX) :])
