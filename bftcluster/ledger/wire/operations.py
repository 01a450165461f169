"""What maintainers approve: the content of an intent. Options and limits are ipfs-cluster's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, assert_never

from bftcluster import cid as cids
from bftcluster import codec
from bftcluster.cid import Cid
from bftcluster.errors import MalformedMessageError, UsageError
from bftcluster.ids import PeerId, WordedNumber
from bftcluster.ledger.wire.block_tree import (
    PinContents,
    contents_from_wire,
    contents_to_wire,
)
from bftcluster.ledger.wire.invitation_operations import (
    INVITE,
    REVOKE_INVITE,
    Invite,
    RevokeInvite,
    parse_invite,
    parse_revoke_invite,
)
from bftcluster.ledger.wire.member_operations import (
    ADMIT,
    REMOVE,
    AdmitPeer,
    RemovePeer,
    parse_admit,
    parse_remove,
)
from bftcluster.ledger.wire.pin_strategy import (
    AGE_RULES,
    PinStrategy,
    SetAgeRules,
    parse_age_rules,
    strategy_from_wire,
)
from bftcluster.ledger.wire.recovery_operation import RECOVER, RecoverCluster, parse_recover
from bftcluster.limits import (
    MULTIADDR_MAX_CHARS,
    OPERATION_SIZE_MAX_BYTES,
    PIN_METADATA_KEY_MAX_CHARS,
    PIN_METADATA_MAX,
    PIN_METADATA_VALUE_MAX_CHARS,
    PIN_NAME_MAX_CHARS,
    PIN_ORIGINS_MAX,
    PIN_REPLICATION_MAX,
    PIN_USER_ALLOCATIONS_MAX,
    PUBLIC_KEY_SIZE_BYTES,
    TIME_MAX_MS,
)
from bftcluster.signing.wire import check_array, check_items, read_kind

EVERYWHERE: Final = -1
"""As a replication factor: every peer holds the pin."""
DEFAULT: Final = 0
"""As a replication factor: what the genesis says."""
_PIN: Final = 1
_UNPIN: Final = 2
_PIN_SHAPE: Final[list[type]] = [
    int, bytes, str, int, int, int, list, list, int, list, bytes, list,
]  # fmt: skip
_CHOSEN_PIN_SHAPE: Final[list[type]] = [*_PIN_SHAPE, list]
"""Of a pin that names a strategy."""
_UNPIN_SHAPE: Final[list[type]] = [int, bytes]


class PinMode(WordedNumber):
    """How much of the DAG is kept. The numbers are part of the wire format."""

    RECURSIVE = 0
    """The block and everything it links to."""
    DIRECT = 1
    """The block alone."""


_MODES: Final = {int(mode): mode for mode in PinMode}


@dataclass(slots=True, init=False, unsafe_hash=True)
class PinOperation:
    """Keep what ``cid`` names; a pin of the same CID is updated.

    Raises:
        UsageError: On construction, if the options make no sense.
    """

    cid: Final[Cid]
    name: Final[str]
    replication_min: Final[int]
    """``EVERYWHERE`` (then both), ``DEFAULT``, or from 1 to ``replication_max``."""
    replication_max: Final[int]
    mode: Final[PinMode]
    metadata: Final[tuple[tuple[str, str], ...]]
    """Sorted by key, keys distinct; see ``sorted_metadata``."""
    user_allocations: Final[tuple[PeerId, ...]]
    """Peers to prefer, best effort."""
    expire_at_ms: Final[int]
    """When to unpin, in unix milliseconds; 0 is never."""
    origins: Final[tuple[str, ...]]
    """Multiaddrs of peers that have the content."""
    pin_update: Final[Cid | None]
    """Copy the options and allocations of this pin; name, expiry and contents are taken from
    here."""
    contents: Final[PinContents | None]
    """What is behind it; None if whoever asked did not know."""
    strategy: Final[PinStrategy | None]
    """By what its holders are chosen; None: as the genesis says."""

    def __init__(
        self,
        *,
        cid: Cid,
        name: str = "",
        replication_min: int = DEFAULT,
        replication_max: int = DEFAULT,
        mode: PinMode = PinMode.RECURSIVE,
        metadata: tuple[tuple[str, str], ...] = (),
        user_allocations: tuple[PeerId, ...] = (),
        expire_at_ms: int = 0,
        origins: tuple[str, ...] = (),
        pin_update: Cid | None = None,
        contents: PinContents | None = None,
        strategy: PinStrategy | None = None,
    ) -> None:
        self.cid = cid
        self.name = name
        self.replication_min = replication_min
        self.replication_max = replication_max
        self.mode = mode
        self.metadata = metadata
        self.user_allocations = user_allocations
        self.expire_at_ms = expire_at_ms
        self.origins = origins
        self.pin_update = pin_update
        self.contents = contents
        self.strategy = strategy
        self._check()

    def _check(self) -> None:
        _check_replication(self.replication_min, self.replication_max)
        if len(self.name) > PIN_NAME_MAX_CHARS:
            raise UsageError(f"a pin's name has at most {PIN_NAME_MAX_CHARS} characters")
        if not 0 <= self.expire_at_ms <= TIME_MAX_MS:
            raise UsageError(f"a pin cannot expire at {self.expire_at_ms} ms")
        if self.contents is not None and self.mode is PinMode.DIRECT and self.contents.blocks > 1:
            raise UsageError("a direct pin is of one block")
        if self.metadata:
            _check_metadata(self.metadata)
        if self.user_allocations:
            _check_user_allocations(self.user_allocations)
        if self.origins:
            _check_origins(self.origins)

    @property
    def subject(self) -> str:
        """What it is about, besides ``cid``, for people."""
        return self.name

    @property
    def pins_read(self) -> tuple[Cid, ...]:
        """The pins that its rule reads besides that of ``cid``."""
        return () if self.pin_update is None else (self.pin_update,)

    @property
    def items(self) -> int:
        """How many items its lists have."""
        chosen = self.strategy
        tags = 0 if chosen is None else len(chosen.required) + len(chosen.preferred)
        return len(self.metadata) + len(self.user_allocations) + len(self.origins) + tags

    def to_bytes(self) -> bytes:
        """Return the canonical encoding, an intent's ``operation``."""
        chosen = () if self.strategy is None else (self.strategy.to_wire(),)
        return codec.encode(
            [
                _PIN,
                self.cid,
                self.name,
                self.replication_min,
                self.replication_max,
                int(self.mode),
                self.metadata,
                self.user_allocations,
                self.expire_at_ms,
                self.origins,
                self.pin_update or b"",
                contents_to_wire(self.contents),
                *chosen,
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpinOperation:
    """Keep ``cid`` no longer."""

    cid: Cid

    @property
    def subject(self) -> str:
        """Return nothing: the content has no other name here."""
        return ""

    def to_bytes(self) -> bytes:
        """Return the canonical encoding, an intent's ``operation``."""
        return codec.encode([_UNPIN, self.cid])


MemberOperation: TypeAlias = AdmitPeer | RemovePeer | RecoverCluster | Invite | RevokeInvite
"""What is about peers, and about no content."""
Operation: TypeAlias = PinOperation | UnpinOperation | MemberOperation | SetAgeRules
"""Each has a ``subject``: what it is about, besides content, for people."""

_LABELS: Final[Mapping[type[Operation], str]] = {
    PinOperation: "pin",
    UnpinOperation: "unpin",
    AdmitPeer: "admit",
    RemovePeer: "remove",
    RecoverCluster: "recover",
    Invite: "invite",
    RevokeInvite: "revoke-invite",
    SetAgeRules: "age-rules",
}


def label_of(operation: Operation) -> str:
    """Return one word for the kind of ``operation``."""
    return _LABELS[type(operation)]


def content_of(operation: Operation) -> Cid | None:
    """Return the root of the content that ``operation`` is about; None: it is about none."""
    return operation.cid if isinstance(operation, (PinOperation, UnpinOperation)) else None


def pins_read_by(operation: Operation) -> tuple[Cid, ...]:
    """Return the pins that the rule of ``operation`` reads besides that of its ``cid``."""
    match operation:
        case PinOperation():
            return operation.pins_read
        case UnpinOperation() | AdmitPeer() | RemovePeer() | RecoverCluster() | SetAgeRules():
            return ()
        case Invite() | RevokeInvite():
            return ()
        case _:
            assert_never(operation)


def items_of(operation: Operation) -> int:
    """Return how many items the lists of ``operation`` have of which memory must be known."""
    match operation:
        case PinOperation():
            return operation.items
        case UnpinOperation() | AdmitPeer() | RemovePeer() | RecoverCluster() | SetAgeRules():
            return 0
        case Invite() | RevokeInvite():
            return 0
        case _:
            assert_never(operation)


def sorted_metadata(metadata: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Return ``metadata`` in the form of ``PinOperation.metadata``."""
    return tuple(sorted(metadata.items()))


def parse_operation(data: bytes) -> Operation:
    """Return the operation that ``data`` encodes.

    Raises:
        MalformedMessageError: It encodes none, or one that makes no sense.
    """
    try:
        return read_kind(data, _PARSERS, "operation", size_max_bytes=OPERATION_SIZE_MAX_BYTES)
    except UsageError as exc:
        raise MalformedMessageError(str(exc)) from None


def _parse_unpin(items: list[Any]) -> UnpinOperation:
    check_array(items, _UNPIN_SHAPE, "unpin operation")
    return UnpinOperation(cid=cids.from_bytes(items[1]))


def _parse_pin(items: list[Any]) -> PinOperation:
    shape = _CHOSEN_PIN_SHAPE if len(items) == len(_CHOSEN_PIN_SHAPE) else _PIN_SHAPE
    _, cid, name, least, most, mode, metadata, users, *rest = check_array(
        items, shape, "pin operation"
    )
    expire_at_ms, origins, update, contents, *chosen = rest
    if mode not in _MODES:
        raise MalformedMessageError(f"unknown pin mode {mode}")
    return PinOperation(
        cid=cids.from_bytes(cid),
        name=name,
        replication_min=least,
        replication_max=most,
        mode=_MODES[mode],
        metadata=tuple([_parse_pair(item) for item in metadata]),
        user_allocations=tuple(map(PeerId, check_items(users, bytes, "an allocation"))),
        expire_at_ms=expire_at_ms,
        origins=check_items(origins, str, "an origin"),
        pin_update=cids.from_bytes(update) if update else None,
        contents=contents_from_wire(contents),
        strategy=strategy_from_wire(chosen[0]) if chosen else None,
    )


def _parse_pair(item: object) -> tuple[str, str]:
    key, value = check_array(item, [str, str], "metadata")
    return key, value


def _check_replication(least: int, most: int) -> None:
    if EVERYWHERE in (least, most):
        if least != most:
            raise UsageError("replication_min and replication_max must both be -1, or neither")
        return
    if not (0 <= least <= PIN_REPLICATION_MAX and 0 <= most <= PIN_REPLICATION_MAX):
        raise UsageError(f"replication is -1 or from 0 to {PIN_REPLICATION_MAX}")
    if least > most > 0:
        raise UsageError("replication_min is larger than replication_max")


def _check_metadata(metadata: tuple[tuple[str, str], ...]) -> None:
    if len(metadata) > PIN_METADATA_MAX:
        raise UsageError(f"a pin has at most {PIN_METADATA_MAX} metadata entries")
    keys = [key for key, _ in metadata]
    if sorted(set(keys)) != keys:
        raise UsageError("metadata must have distinct keys, sorted")
    for key, value in metadata:
        if not 1 <= len(key) <= PIN_METADATA_KEY_MAX_CHARS:
            raise UsageError(f"a metadata key has 1 to {PIN_METADATA_KEY_MAX_CHARS} characters")
        if len(value) > PIN_METADATA_VALUE_MAX_CHARS:
            raise UsageError(
                f"a metadata value has at most {PIN_METADATA_VALUE_MAX_CHARS} characters"
            )


def _check_user_allocations(peers: tuple[PeerId, ...]) -> None:
    if len(peers) > PIN_USER_ALLOCATIONS_MAX:
        raise UsageError(f"at most {PIN_USER_ALLOCATIONS_MAX} user allocations")
    if any(len(peer) != PUBLIC_KEY_SIZE_BYTES for peer in peers):
        raise UsageError("a user allocation is no peer id")
    if len(set(peers)) != len(peers):
        raise UsageError("user allocations must be distinct")


def _check_origins(origins: tuple[str, ...]) -> None:
    if len(origins) > PIN_ORIGINS_MAX:
        raise UsageError(f"a pin has at most {PIN_ORIGINS_MAX} origins")
    for origin in origins:
        if len(origin) > MULTIADDR_MAX_CHARS:
            raise UsageError("an origin is no multiaddr")
        if not origin.startswith("/") or "/p2p/" not in origin:
            raise UsageError("an origin is a multiaddr that names its peer: /…/p2p/…")


_PARSERS: Final[Mapping[int, Callable[[list[Any]], Operation]]] = {
    _PIN: _parse_pin,
    _UNPIN: _parse_unpin,
    ADMIT: parse_admit,
    REMOVE: parse_remove,
    RECOVER: parse_recover,
    INVITE: parse_invite,
    REVOKE_INVITE: parse_revoke_invite,
    AGE_RULES: parse_age_rules,
}
