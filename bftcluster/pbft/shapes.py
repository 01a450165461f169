"""Checks that decoded values have the types and sizes of what they are to become."""

import itertools
from typing import Any

from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Digest, Epoch, ReplicaId, Seq, View
from bftcluster.limits import (
    COUNTER_MAX,
    DIGEST_SIZE_BYTES,
    PUBLIC_KEY_SIZE_BYTES,
    REPLICAS_MAX,
    SIGNATURE_SIZE_BYTES,
)


def array(value: Any, length: int, what: str) -> list[Any]:  # noqa: ANN401 - decoded CBOR
    """Return ``value`` if it is an array of ``length`` items."""
    if type(value) is not list or len(value) != length:
        raise MalformedMessageError(f"{what} is an array of {length}")
    return value


def tagged(value: Any) -> list[Any]:  # noqa: ANN401
    """Return ``value`` if it is an array that starts with a number, its kind."""
    if type(value) is not list or not value or type(value[0]) is not int:
        raise MalformedMessageError("not an array that starts with its kind")
    return value


def items(value: Any, length_max: int, what: str) -> list[Any]:  # noqa: ANN401
    """Return ``value`` if it is an array of at most ``length_max`` items."""
    if type(value) is not list or len(value) > length_max:
        raise MalformedMessageError(f"{what} is an array of at most {length_max}")
    return value


def counter(value: Any) -> int:  # noqa: ANN401
    """Return ``value`` if it is an epoch, view, sequence number or the like."""
    if type(value) is not int or not 0 <= value <= COUNTER_MAX:
        raise MalformedMessageError("not a counter")
    return value


def epoch(value: Any) -> Epoch:  # noqa: ANN401
    """Return ``value`` as an epoch."""
    return Epoch(counter(value))


def view(value: Any) -> View:  # noqa: ANN401
    """Return ``value`` as a view."""
    return View(counter(value))


def seq(value: Any) -> Seq:  # noqa: ANN401
    """Return ``value`` as a sequence number."""
    return Seq(counter(value))


def blob(value: Any, size_max_bytes: int) -> bytes:  # noqa: ANN401
    """Return ``value`` if it is a byte string of at most ``size_max_bytes``."""
    if type(value) is not bytes or len(value) > size_max_bytes:
        raise MalformedMessageError(f"not a byte string of at most {size_max_bytes} bytes")
    return value


def digest(value: Any) -> Digest:  # noqa: ANN401
    """Return ``value`` if it is a SHA-256 digest."""
    if type(value) is not bytes or len(value) != DIGEST_SIZE_BYTES:
        raise MalformedMessageError("not a digest")
    return Digest(value)


def replica(value: Any) -> ReplicaId:  # noqa: ANN401
    """Return ``value`` if it is a replica's key."""
    if type(value) is not bytes or len(value) != PUBLIC_KEY_SIZE_BYTES:
        raise MalformedMessageError("not a replica's key")
    return ReplicaId(value)


def signature(value: Any) -> bytes:  # noqa: ANN401
    """Return ``value`` if it is as long as a signature."""
    if type(value) is not bytes or len(value) != SIGNATURE_SIZE_BYTES:
        raise MalformedMessageError("not a signature")
    return value


def signatures(value: Any) -> tuple[tuple[ReplicaId, bytes], ...]:  # noqa: ANN401
    """Return a certificate's signatures: pairs, sorted by replica, each replica once."""
    pairs = []
    for item in items(value, REPLICAS_MAX, "a certificate's signatures"):
        signer, made = array(item, 2, "a signature")
        pairs.append((replica(signer), signature(made)))
    for (before, _), (after, _) in itertools.pairwise(pairs):
        if not before < after:
            raise MalformedMessageError("signers are sorted and distinct")
    return tuple(pairs)
