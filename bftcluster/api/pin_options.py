"""Pin options in a query string, as ipfs-cluster's ``PinOptions.FromQuery`` reads them.

Unlike ipfs-cluster, whatever cannot be read refuses the whole request before anything happens, and
``mode=direct`` works on every route.
"""

from collections.abc import Callable, Iterable
from typing import Final

from bftcluster import cid as cids
from bftcluster.api.http.query import Query, integer, parse_duration_ms, parse_time_ms
from bftcluster.api.views import PinOptions
from bftcluster.errors import UsageError
from bftcluster.ids import PeerId
from bftcluster.ledger.wire.operations import EVERYWHERE, PinMode
from bftcluster.ledger.wire.pin_strategy import PinStrategy, parse_strategy
from bftcluster.limits import REPLICAS_MAX
from bftcluster.shell_limits import METADATA_ENTRIES_MAX, ORIGINS_MAX, PIN_TEXT_SIZE_MAX_CHARS
from bftcluster.signing.keys import parse_peer_id

_METADATA_PREFIX: Final = "meta-"
_MODES: Final = {mode.word: mode for mode in PinMode}
_STRATEGY_WORDS: Final = {
    "allocate-by": "strategy",
    "require-tags": "require",
    "prefer-tags": "prefer",
    "spread-over": "spread",
    "domains-min": "domains",
}
_REPLICATION_MAX: Final = 10_000
_EXPIRE_IN_MIN_MS: Final = 1000
_EXPIRE_AT_MAX_MS: Final = 253_402_300_799_000
"""The end of the year 9999: no later time has an RFC 3339 form."""


def parse_pin_options(query: Query, *, wall_ms: Callable[[], int]) -> PinOptions:
    """Return the options.

    Args:
        query: One value for each name.
        wall_ms: The clock for ``expire-in`` and for refusing what has expired already.

    Raises:
        UsageError: Any option is wrong, with the option's name.
    """
    replication_min, replication_max = _replication(query)
    update = query.get("pin-update", "")
    return PinOptions(
        name=_text("name", query.get("name", "")),
        mode=_mode(query.get("mode", "")),
        replication_min=replication_min,
        replication_max=replication_max,
        metadata=_metadata(query),
        user_allocations=_user_allocations(query.get("user-allocations", "")),
        expire_at_ms=_expire_at_ms(query, wall_ms),
        origins=_origins(query.get("origins", "")),
        pin_update=cids.parse(update) if update else None,
        strategy=_strategy(query),
    )


def _strategy(query: Query) -> PinStrategy | None:
    """Return what ipfs-cluster's own allocators are configured for, here for one pin."""
    words = [
        (word, part)
        for name, word in _STRATEGY_WORDS.items()
        for part in _split(query.get(name, ""))
    ]
    return parse_strategy(words)


def _replication(query: Query) -> tuple[int, int]:
    low, high = EVERYWHERE, _REPLICATION_MAX
    both = integer(query, "replication", default=0, lowest=low, highest=high)
    least = integer(query, "replication-min", default=both, lowest=low, highest=high)
    most = integer(query, "replication-max", default=both, lowest=low, highest=high)
    if 0 not in (least, most):
        if (least == EVERYWHERE) != (most == EVERYWHERE):
            raise UsageError("replication-min and replication-max must both be -1, or neither")
        if least > most:
            raise UsageError(f"replication-min {least} is larger than replication-max {most}")
    return least, most


def _mode(text: str) -> PinMode:
    if not text:
        return PinMode.RECURSIVE
    try:
        return _MODES[text]
    except KeyError:
        raise UsageError(f"mode is recursive or direct, not {text[:64]!r}") from None


def _metadata(query: Query) -> tuple[tuple[str, str], ...]:
    found = {
        _text("metadata key", name[len(_METADATA_PREFIX) :]): _text(name[:80], value)
        for name, value in query.items()
        if name.startswith(_METADATA_PREFIX)
    }
    if "" in found:
        raise UsageError("a metadata key is empty")
    if len(found) > METADATA_ENTRIES_MAX:
        raise UsageError(f"{len(found)} metadata entries, at most {METADATA_ENTRIES_MAX}")
    return tuple(sorted(found.items()))


def _user_allocations(text: str) -> tuple[PeerId, ...]:
    peers = [parse_peer_id(part) for part in _split(text)]
    if len(peers) > REPLICAS_MAX:
        raise UsageError(f"{len(peers)} user-allocations, at most {REPLICAS_MAX}")
    return tuple(dict.fromkeys(peers))


def _expire_at_ms(query: Query, wall_ms: Callable[[], int]) -> int:
    at, after = query.get("expire-at", ""), query.get("expire-in", "")
    if at:
        expire_ms = parse_time_ms(at)
        if expire_ms and expire_ms <= wall_ms():
            raise UsageError(f"expire-at {at[:64]} has passed")
        return expire_ms
    if not after:
        return 0
    duration_ms = parse_duration_ms(after)
    if duration_ms < _EXPIRE_IN_MIN_MS:
        raise UsageError(f"expire-in {after[:64]} is shorter than a second")
    return min(wall_ms() + duration_ms, _EXPIRE_AT_MAX_MS)


def _origins(text: str) -> tuple[str, ...]:
    origins = [_text("origin", part) for part in _split(text)]
    if len(origins) > ORIGINS_MAX:
        raise UsageError(f"{len(origins)} origins, at most {ORIGINS_MAX}")
    for origin in origins:
        _, separator, peer = origin.rpartition("/p2p/")
        if not origin.startswith("/") or not separator or not peer or "/" in peer:
            raise UsageError(f"not a multiaddr that ends in /p2p/<peer id>: {origin[:200]!r}")
    return tuple(origins)


def _split(text: str) -> Iterable[str]:
    return (part for part in text.split(",") if part)


def _text(what: str, value: str) -> str:
    if len(value) > PIN_TEXT_SIZE_MAX_CHARS:
        raise UsageError(f"{what} has {len(value)} characters, at most {PIN_TEXT_SIZE_MAX_CHARS}")
    return value
