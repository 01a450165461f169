"""What all that peers sign has in common; what a peer may call itself, and where it may say it is.

A statement is a payload and its signature. The payload names the cluster and the peer first, so
that nothing that a peer signed counts elsewhere or in another's name.

Every peer dials what the ledger accepts here, and every client shows it: so it accepts nothing that
one of them could not bear. The one place that judges; the grammar is our own, since that of a
library may change between two replicas.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import ClusterId, PeerId
from bftcluster.ledger.wire.request_kinds import RequestKind
from bftcluster.limits import (
    DIGEST_SIZE_BYTES,
    MULTIADDR_MAX_CHARS,
    PEER_ADDRESSES_MAX,
    PEER_NAME_MAX_CHARS,
    PUBLIC_KEY_SIZE_BYTES,
    SIGNATURE_SIZE_BYTES,
)
from bftcluster.signing.envelope import Domain, Signer, sign
from bftcluster.signing.wire import check_array, check_size, read_array

T = TypeVar("T")

_STATEMENT_SHAPE: Final[list[type]] = [int, bytes, bytes]

_DIGITS: Final = frozenset("0123456789")
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_LABEL: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")
_NAMES: Final = frozenset(("dns", "dns4", "dns6"))
_PORT_MAX: Final = 65_535
_LABEL_MAX_CHARS: Final = 63
_NAME_MAX_CHARS: Final = 253
_PARTS: Final = 5
_IP6_GROUPS: Final = 8


def check_peer_texts(name: str, addresses: tuple[object, ...]) -> None:
    """Return if a peer may call itself ``name`` and be reached at ``addresses``.

    Raises:
        MalformedMessageError: Too long, too many, not to be shown, or no TCP addresses.
    """
    if len(name) > PEER_NAME_MAX_CHARS:
        raise MalformedMessageError(f"a peer's name has at most {PEER_NAME_MAX_CHARS} characters")
    check_readable(name, "a peer's name")
    if len(addresses) > PEER_ADDRESSES_MAX:
        raise MalformedMessageError(f"a peer has at most {PEER_ADDRESSES_MAX} addresses")
    for address in addresses:
        if type(address) is not str or not address.startswith("/"):
            raise MalformedMessageError("a peer's address is no multiaddr")
        if len(address) > MULTIADDR_MAX_CHARS:
            raise MalformedMessageError(f"an address has at most {MULTIADDR_MAX_CHARS} characters")
        if not is_tcp_address(address):
            raise MalformedMessageError(
                "a peer's address is /ip4/…/tcp/…, /ip6/…/tcp/… or /dns…/…/tcp/…"
            )


class SignedPayload(NamedTuple):
    """What a peer signed, and the signature, which is not checked."""

    kind: RequestKind
    cluster_id: ClusterId
    peer: PeerId
    """Who signed it."""
    payload: bytes
    """The signed bytes."""
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatement:
    """What a peer says of itself and has ordered."""

    said: SignedPayload

    @property
    def cluster_id(self) -> ClusterId:
        """Where it counts."""
        return self.said.cluster_id

    @property
    def peer(self) -> PeerId:
        """Who signed it."""
        return self.said.peer

    @property
    def payload(self) -> bytes:
        """The signed bytes."""
        return self.said.payload

    @property
    def signature(self) -> bytes:
        """Over the payload."""
        return self.said.signature

    def to_bytes(self) -> bytes:
        """Return the canonical encoding, a request."""
        said = self.said
        return codec.encode([int(said.kind), said.payload, said.signature])


@dataclass(frozen=True, slots=True)
class StatementFormat:
    """How what peers sign for one kind of request is encoded."""

    kind: RequestKind
    domain: Domain
    """What the signature is for."""
    shape: list[type]
    """The exact type of each item behind the cluster and the peer."""
    size_max_bytes: int

    def signed(
        self, signer: Signer, cluster_id: ClusterId, items: Sequence[object]
    ) -> tuple[bytes, bytes]:
        """Return what is signed, behind the cluster and the signer, and the signature."""
        payload = codec.encode([cluster_id, signer.public_key, *items])
        return payload, sign(signer, self.domain, payload)

    def read(self, payload: bytes, signature: bytes) -> tuple[SignedPayload, list[Any]]:
        """Return what a peer signed, and what is in it behind the cluster and the peer.

        Raises:
            MalformedMessageError: Too long, of another shape, or what names no peer of a cluster.
        """
        limit, shape = self.size_max_bytes, [bytes, bytes, *self.shape]
        found = read_array(payload, shape, self.kind.name.lower(), size_max_bytes=limit)
        cluster_id, peer, *items = found
        check_size(cluster_id, DIGEST_SIZE_BYTES, "a cluster id")
        check_size(peer, PUBLIC_KEY_SIZE_BYTES, "a peer id")
        check_size(signature, SIGNATURE_SIZE_BYTES, "a signature")
        said = SignedPayload(self.kind, ClusterId(cluster_id), PeerId(peer), payload, signature)
        return said, items


def statement_parser(read: Callable[[bytes, bytes], T], what: str) -> Callable[[list[Any]], T]:
    """Return what reads a decoded request, by what reads its payload and its signature.

    What is returned raises `MalformedMessageError` as ``read`` does, or if the request has
    another shape.
    """

    def parse(items: list[Any]) -> T:
        _, payload, signature = check_array(items, _STATEMENT_SHAPE, what)
        return read(payload, signature)

    return parse


def check_readable(text: str, what: str) -> None:
    """Return if ``text`` holds no control characters, which a screen or a log would obey.

    Raises:
        MalformedMessageError: It does.
    """
    for char in text:
        code = ord(char)
        if code < 0x20 or 0x7F <= code < 0xA0:
            raise MalformedMessageError(f"{what} has a control character")


def is_tcp_address(address: str) -> bool:
    """Return whether ``address`` is a host and a TCP port that can be dialled, and no more."""
    parts = address.split("/")
    if len(parts) != _PARTS or parts[0] or parts[3] != "tcp":
        return False
    kind, host, port = parts[1], parts[2], parts[4]
    if not _is_number(port, _PORT_MAX) or port == "0":
        return False
    if kind == "ip4":
        return _is_ip4(host)
    if kind == "ip6":
        return _is_ip6(host)
    return kind in _NAMES and _is_name(host)


def _is_number(text: str, most: int) -> bool:
    """Return whether ``text`` is a number up to ``most`` as it is written by default."""
    if not 1 <= len(text) <= len(str(most)) or not _DIGITS.issuperset(text):
        return False
    return int(text) <= most and (text == "0" or text[0] != "0")


def _is_ip4(host: str) -> bool:
    parts = host.split(".")
    return len(parts) == 4 and all(_is_number(part, 255) for part in parts)


def _is_ip6(host: str) -> bool:
    if host.count("::") > 1 or ":::" in host:
        return False
    head, gap, tail = host.partition("::")
    groups = [*(head.split(":") if head else ()), *(tail.split(":") if tail else ())]
    if not all(1 <= len(group) <= 4 and _HEX.issuperset(group) for group in groups):
        return False
    return len(groups) < _IP6_GROUPS if gap else len(groups) == _IP6_GROUPS


def _is_name(host: str) -> bool:
    return len(host) <= _NAME_MAX_CHARS and all(_is_label(label) for label in host.split("."))


def _is_label(label: str) -> bool:
    """Return whether every library takes it as part of a name: no hyphen where IDNA has one."""
    if not 1 <= len(label) <= _LABEL_MAX_CHARS or not _LABEL.issuperset(label):
        return False
    return label[0] != "-" and label[-1] != "-" and label[2:4] != "--"
