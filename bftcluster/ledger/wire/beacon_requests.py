"""What members say to have a beacon: their dealings, complaints and partials, each signed.

Each binds the cluster, its signer, and what it is about: a dealing its ceremony, a complaint the
dealing, a partial the group and the period. So nothing that a member signed counts for anything
else, not even on another branch of a log that was given up.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import ClusterId, Digest, PeerId
from bftcluster.ledger.wire.peer_fields import check_signed
from bftcluster.ledger.wire.request_kinds import RequestKind
from bftcluster.limits import DEALING_SIZE_MAX_BYTES, DIGEST_SIZE_BYTES
from bftcluster.signing.envelope import Domain, Signer, sign
from bftcluster.signing.threshold.complaints import Complaint
from bftcluster.signing.threshold.dealings import Dealing
from bftcluster.signing.threshold.group_key import GroupKey
from bftcluster.signing.threshold.partials import Partial
from bftcluster.signing.wire import check_array, check_size, read_array

_SIGNED_SHAPE: Final[list[type]] = [int, bytes, bytes]
_DEAL_SHAPE: Final[list[type]] = [bytes, bytes, bytes]
_COMPLAIN_SHAPE: Final[list[type]] = [bytes, bytes, bytes, bytes]
_CONTRIBUTE_SHAPE: Final[list[type]] = [bytes, bytes, bytes, int, bytes]
_PAYLOAD_SIZE_MAX_BYTES: Final = DEALING_SIZE_MAX_BYTES + 128
_PERIOD_MAX: Final = 1 << 63
_GROUP_TAG: Final = b"bftcluster/holder-group/v1\x00"
_DEALING_TAG: Final = b"bftcluster/ordered-dealing/v1\x00"
_BEACON_TAG: Final = "bftcluster/beacon/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """A member's part of a group key. Made by ``make_deal``."""

    cluster_id: ClusterId
    peer: PeerId
    dealing: Dealing
    payload: bytes
    """The signed bytes."""
    signature: bytes

    def to_bytes(self) -> bytes:
        """Return the canonical encoding."""
        return codec.encode([int(RequestKind.DEAL), self.payload, self.signature])


@dataclass(frozen=True, slots=True, kw_only=True)
class Complain:
    """A holder's proof that a dealing is wrong. Made by ``make_complain``."""

    cluster_id: ClusterId
    peer: PeerId
    dealing_digest: Digest
    complaint: Complaint
    payload: bytes
    """The signed bytes."""
    signature: bytes

    def to_bytes(self) -> bytes:
        """Return the canonical encoding."""
        return codec.encode([int(RequestKind.COMPLAIN), self.payload, self.signature])


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribute:
    """A holder's part of a period's beacon. Made by ``make_contribute``."""

    cluster_id: ClusterId
    peer: PeerId
    group_digest: Digest
    period: int
    partial: Partial
    payload: bytes
    """The signed bytes."""
    signature: bytes

    def to_bytes(self) -> bytes:
        """Return the canonical encoding."""
        return codec.encode([int(RequestKind.CONTRIBUTE), self.payload, self.signature])


BeaconRequest: TypeAlias = Deal | Complain | Contribute


def digest_of(request: BeaconRequest) -> Digest:
    """Return what people find a request in the log by."""
    return Digest(hashlib.sha256(request.to_bytes()).digest())


def dealing_digest(dealing: Dealing) -> Digest:
    """Return what a complaint names its dealing by."""
    return Digest(hashlib.sha256(_DEALING_TAG + dealing.to_bytes()).digest())


def group_digest(key: GroupKey) -> Digest:
    """Return what a partial names its group by: holders with other shares are another group."""
    return Digest(hashlib.sha256(_GROUP_TAG + key.to_bytes()).digest())


def beacon_message(cluster_id: ClusterId, period: int) -> bytes:
    """Return what a group signs for a period: whoever holds the shares, it is one message."""
    return codec.encode([_BEACON_TAG, cluster_id, period])


def beacon_value(signature: bytes) -> bytes:
    """Return the beacon, 32 bytes, that a group's signature of a period's message gives."""
    return hashlib.sha256(signature).digest()


def make_deal(signer: Signer, cluster_id: ClusterId, dealing: Dealing) -> Deal:
    """Return the signer's dealing, to be ordered."""
    return _read_deal(*_signed(signer, Domain.DEAL, cluster_id, [dealing.to_bytes()]))


def make_complain(
    signer: Signer, cluster_id: ClusterId, dealing: Dealing, complaint: Complaint
) -> Complain:
    """Return the signer's complaint about ``dealing``, to be ordered."""
    items = [dealing_digest(dealing), complaint.to_bytes()]
    return _read_complain(*_signed(signer, Domain.COMPLAIN, cluster_id, items))


def make_contribute(
    signer: Signer, cluster_id: ClusterId, group: Digest, period: int, partial: Partial
) -> Contribute:
    """Return the signer's part of a period's beacon, to be ordered."""
    items: list[bytes | int] = [group, period, partial.to_bytes()]
    return _read_contribute(*_signed(signer, Domain.CONTRIBUTE, cluster_id, items))


def parse_deal(items: list[Any]) -> Deal:
    """Return the request that the decoded ``items`` are.

    Raises:
        MalformedMessageError: They are none.
    """
    _, payload, signature = check_array(items, _SIGNED_SHAPE, "deal")
    return _read_deal(payload, signature)


def parse_complain(items: list[Any]) -> Complain:
    """Return the request that the decoded ``items`` are, or raise as ``parse_deal``."""
    _, payload, signature = check_array(items, _SIGNED_SHAPE, "complain")
    return _read_complain(payload, signature)


def parse_contribute(items: list[Any]) -> Contribute:
    """Return the request that the decoded ``items`` are, or raise as ``parse_deal``."""
    _, payload, signature = check_array(items, _SIGNED_SHAPE, "contribute")
    return _read_contribute(payload, signature)


def _signed(
    signer: Signer, domain: Domain, cluster_id: ClusterId, items: Sequence[bytes | int]
) -> tuple[bytes, bytes]:
    payload = codec.encode([cluster_id, signer.public_key, *items])
    return payload, sign(signer, domain, payload)


def _read_deal(payload: bytes, signature: bytes) -> Deal:
    cluster_id, peer, dealing = _read(payload, signature, _DEAL_SHAPE)
    return Deal(
        cluster_id=ClusterId(cluster_id),
        peer=PeerId(peer),
        dealing=Dealing.from_bytes(dealing),
        payload=payload,
        signature=signature,
    )


def _read_complain(payload: bytes, signature: bytes) -> Complain:
    cluster_id, peer, digest, complaint = _read(payload, signature, _COMPLAIN_SHAPE)
    check_size(digest, DIGEST_SIZE_BYTES, "a dealing's digest")
    return Complain(
        cluster_id=ClusterId(cluster_id),
        peer=PeerId(peer),
        dealing_digest=Digest(digest),
        complaint=Complaint.from_bytes(complaint),
        payload=payload,
        signature=signature,
    )


def _read_contribute(payload: bytes, signature: bytes) -> Contribute:
    cluster_id, peer, digest, period, partial = _read(payload, signature, _CONTRIBUTE_SHAPE)
    check_size(digest, DIGEST_SIZE_BYTES, "a group's digest")
    if not 0 <= period < _PERIOD_MAX:
        raise MalformedMessageError("a period outside 63 bits")
    return Contribute(
        cluster_id=ClusterId(cluster_id),
        peer=PeerId(peer),
        group_digest=Digest(digest),
        period=period,
        partial=Partial.from_bytes(partial),
        payload=payload,
        signature=signature,
    )


def _read(payload: bytes, signature: bytes, shape: list[type]) -> list[Any]:
    limit = _PAYLOAD_SIZE_MAX_BYTES
    items = read_array(payload, shape, "part of a beacon", size_max_bytes=limit)
    check_signed(items[0], items[1], signature)
    return items
