"""The numbers of requests, which each begins with, and what those share that peers sign.

A statement is a payload and its signature. The payload names the cluster and the peer first, so
that nothing that a peer signed counts elsewhere or in another's name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, TypeVar

from bftcluster import codec
from bftcluster.ids import ClusterId, PeerId
from bftcluster.ledger.wire.peer_fields import check_signed
from bftcluster.signing.envelope import Domain, Signer, sign
from bftcluster.signing.wire import check_array, read_array

T = TypeVar("T")

_STATEMENT_SHAPE: Final[list[type]] = [int, bytes, bytes]


class RequestKind(IntEnum):
    """The first item of a request. The numbers are part of the wire format."""

    SUBMIT = 1
    PROPOSE = 2
    APPROVE = 3
    REJECT = 4
    REPORT = 5
    JOIN = 6
    EVIDENCE = 7
    DEAL = 8
    COMPLAIN = 9
    CONTRIBUTE = 10
    PLEDGE = 11
    ANSWER = 12
    ATTEST = 13
    REDEEM = 15
    LEAVE = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatement:
    """What a peer says of itself and has ordered."""

    kind: RequestKind
    cluster_id: ClusterId
    peer: PeerId
    """Who signed it."""
    payload: bytes
    """The signed bytes."""
    signature: bytes

    def to_bytes(self) -> bytes:
        """Return the canonical encoding, a request."""
        return codec.encode([int(self.kind), self.payload, self.signature])


def signed_payload(
    signer: Signer, domain: Domain, cluster_id: ClusterId, items: Sequence[object]
) -> tuple[bytes, bytes]:
    """Return what is signed, behind the cluster and the signer, and the signature."""
    payload = codec.encode([cluster_id, signer.public_key, *items])
    return payload, sign(signer, domain, payload)


def read_payload(
    payload: bytes, signature: bytes, shape: list[type], what: str, *, size_max_bytes: int
) -> list[Any]:
    """Return the items of what a peer signed: its cluster and its peer first.

    Raises:
        MalformedMessageError: Too long, of another shape, or what names no peer of a cluster.
    """
    items = read_array(payload, shape, what, size_max_bytes=size_max_bytes)
    check_signed(items[0], items[1], signature)
    return items


def statement_parser(read: Callable[[bytes, bytes], T], what: str) -> Callable[[list[Any]], T]:
    """Return what reads a decoded request, by what reads its payload and its signature.

    What is returned raises `MalformedMessageError` as ``read`` does, or if the request has
    another shape.
    """

    def parse(items: list[Any]) -> T:
        _, payload, signature = check_array(items, _STATEMENT_SHAPE, what)
        return read(payload, signature)

    return parse


def kind_of(request: bytes) -> RequestKind | None:
    """Return what a request says it is, by its second byte alone; None: no kind that there is."""
    number = request[1] if len(request) > 1 else 0
    return RequestKind(number) if number in RequestKind._value2member_map_ else None
