"""What a peer may call itself, and where it may say it is."""

from bftcluster.errors import MalformedMessageError
from bftcluster.limits import MULTIADDR_MAX_CHARS, PEER_ADDRESSES_MAX, PEER_NAME_MAX_CHARS


def check_peer_texts(name: str, addresses: tuple[object, ...]) -> None:
    """Return if a peer may call itself ``name`` and be reached at ``addresses``.

    Raises:
        MalformedMessageError: Too long, too many, or no multiaddrs.
    """
    if len(name) > PEER_NAME_MAX_CHARS:
        raise MalformedMessageError(f"a peer's name has at most {PEER_NAME_MAX_CHARS} characters")
    if len(addresses) > PEER_ADDRESSES_MAX:
        raise MalformedMessageError(f"a peer has at most {PEER_ADDRESSES_MAX} addresses")
    for address in addresses:
        if type(address) is not str or not address.startswith("/"):
            raise MalformedMessageError("a peer's address is no multiaddr")
        if len(address) > MULTIADDR_MAX_CHARS:
            raise MalformedMessageError(f"an address has at most {MULTIADDR_MAX_CHARS} characters")
