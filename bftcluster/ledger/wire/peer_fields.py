"""What a peer may call itself, and where it may say it is.

Every peer dials what the ledger accepts here, and every client shows it: so it accepts nothing that
one of them could not bear. The one place that judges; the grammar is our own, since that of a
library may change between two replicas.
"""

from typing import Final

from bftcluster.errors import MalformedMessageError
from bftcluster.limits import (
    DIGEST_SIZE_BYTES,
    MULTIADDR_MAX_CHARS,
    PEER_ADDRESSES_MAX,
    PEER_NAME_MAX_CHARS,
    PUBLIC_KEY_SIZE_BYTES,
    SIGNATURE_SIZE_BYTES,
)
from bftcluster.signing.wire import check_size

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


def check_signed(cluster_id: bytes, peer: bytes, signature: bytes) -> None:
    """Return if these are as long as what a peer signs for a cluster has to name.

    Raises:
        MalformedMessageError: They are not.
    """
    check_size(cluster_id, DIGEST_SIZE_BYTES, "a cluster id")
    check_size(peer, PUBLIC_KEY_SIZE_BYTES, "a peer id")
    check_size(signature, SIGNATURE_SIZE_BYTES, "a signature")


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
