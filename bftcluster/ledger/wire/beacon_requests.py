"""What members say to have a beacon: their dealings, complaints and partials, each signed.

Each binds the cluster, its signer, and what it is about: a dealing its ceremony, a complaint the
dealing, a partial the group and the period. So nothing that a member signed counts for anything
else, not even on another branch of a log that was given up.
"""

import hashlib
from dataclasses import dataclass
from typing import Final, TypeAlias

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import ClusterId, Digest
from bftcluster.ledger.wire.peer_fields import PeerStatement, StatementFormat
from bftcluster.ledger.wire.request_kinds import RequestKind
from bftcluster.limits import DEALING_SIZE_MAX_BYTES, DIGEST_SIZE_BYTES
from bftcluster.signing.envelope import Domain, Signer
from bftcluster.signing.threshold.complaints import Complaint
from bftcluster.signing.threshold.dealings import Dealing
from bftcluster.signing.threshold.group_key import GroupKey
from bftcluster.signing.threshold.partials import Partial
from bftcluster.signing.wire import check_size

_PAYLOAD_SIZE_MAX_BYTES: Final = DEALING_SIZE_MAX_BYTES + 128
_DEAL: Final = StatementFormat(RequestKind.DEAL, Domain.DEAL, [bytes], _PAYLOAD_SIZE_MAX_BYTES)
_COMPLAIN: Final = StatementFormat(
    RequestKind.COMPLAIN, Domain.COMPLAIN, [bytes, bytes], _PAYLOAD_SIZE_MAX_BYTES
)
_CONTRIBUTE: Final = StatementFormat(
    RequestKind.CONTRIBUTE, Domain.CONTRIBUTE, [bytes, int, bytes], _PAYLOAD_SIZE_MAX_BYTES
)
_PERIOD_MAX: Final = 1 << 63
_GROUP_TAG: Final = b"bftcluster/holder-group/v1\x00"
_DEALING_TAG: Final = b"bftcluster/ordered-dealing/v1\x00"
_BEACON_TAG: Final = "bftcluster/beacon/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal(PeerStatement):
    """A member's part of a group key. Made by ``make_deal``."""

    dealing: Dealing


@dataclass(frozen=True, slots=True, kw_only=True)
class Complain(PeerStatement):
    """A holder's proof that a dealing is wrong. Made by ``make_complain``."""

    dealing_digest: Digest
    complaint: Complaint


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribute(PeerStatement):
    """A holder's part of a period's beacon. Made by ``make_contribute``."""

    group_digest: Digest
    period: int
    partial: Partial


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
    return read_deal(*_DEAL.signed(signer, cluster_id, [dealing.to_bytes()]))


def make_complain(
    signer: Signer, cluster_id: ClusterId, dealing: Dealing, complaint: Complaint
) -> Complain:
    """Return the signer's complaint about ``dealing``, to be ordered."""
    items = [dealing_digest(dealing), complaint.to_bytes()]
    return read_complain(*_COMPLAIN.signed(signer, cluster_id, items))


def make_contribute(
    signer: Signer, cluster_id: ClusterId, group: Digest, period: int, partial: Partial
) -> Contribute:
    """Return the signer's part of a period's beacon, to be ordered."""
    items: list[bytes | int] = [group, period, partial.to_bytes()]
    return read_contribute(*_CONTRIBUTE.signed(signer, cluster_id, items))


def read_deal(payload: bytes, signature: bytes) -> Deal:
    """Return the request that a payload and its signature are.

    Raises:
        MalformedMessageError: They are none.
    """
    said, [dealing] = _DEAL.read(payload, signature)
    return Deal(said=said, dealing=Dealing.from_bytes(dealing))


def read_complain(payload: bytes, signature: bytes) -> Complain:
    """Return the request that they are, or raise as ``read_deal``."""
    said, [digest, complaint] = _COMPLAIN.read(payload, signature)
    check_size(digest, DIGEST_SIZE_BYTES, "a dealing's digest")
    return Complain(
        said=said, dealing_digest=Digest(digest), complaint=Complaint.from_bytes(complaint)
    )


def read_contribute(payload: bytes, signature: bytes) -> Contribute:
    """Return the request that they are, or raise as ``read_deal``."""
    said, [digest, period, partial] = _CONTRIBUTE.read(payload, signature)
    check_size(digest, DIGEST_SIZE_BYTES, "a group's digest")
    if not 0 <= period < _PERIOD_MAX:
        raise MalformedMessageError("a period outside 63 bits")
    group, made = Digest(digest), Partial.from_bytes(partial)
    return Contribute(said=said, group_digest=group, period=period, partial=made)
