"""How a cluster begins. The hash of these bytes is its id: two clusters never share one."""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import ClusterId, Epoch, PeerId, ReplicaId
from bftcluster.ledger.wire.operations import EVERYWHERE
from bftcluster.ledger.wire.peer_fields import check_peer_texts, check_readable
from bftcluster.ledger.wire.peer_terms import PeerTerms, terms_from_wire
from bftcluster.ledger.wire.pin_strategy import PinStrategy, strategy_from_wire
from bftcluster.limits import (
    AUDIT_DAY_DEFAULT_MS,
    AUDIT_DAY_MIN_MS,
    CBOR_SIZE_MAX_BYTES,
    CHECKPOINT_INTERVAL_SEQS,
    DIGEST_SIZE_BYTES,
    PEER_NAME_MAX_CHARS,
    PERIOD_DEFAULT_MS,
    PERIOD_MAX_MS,
    PERIOD_MIN_MS,
    PIN_REPLICATION_MAX,
    PIN_REPLICATION_MAX_DEFAULT,
    PIN_REPLICATION_MIN_DEFAULT,
    PUBLIC_KEY_SIZE_BYTES,
    REPLICAS_MAX,
    TIME_MAX_MS,
    WINDOW_SIZE_SEQS,
)
from bftcluster.membership import Membership
from bftcluster.signing.policies import Policy
from bftcluster.signing.wire import check_array, check_size

_VERSION: Final = 1
_ID_TAG: Final = b"bftcluster/genesis/v1\x00"
_SHAPE: Final[list[type]] = [int, str, int, list, list, int, int, int, int, bytes]
_PEER_SHAPE: Final[list[type]] = [bytes, str, list, list]
_MORE_SHAPES: Final[tuple[list[type], ...]] = (
    [int],
    [list],
    [int, list],
    [int, int],
    [int, int, list],
)
"""Of what may come behind, if it is not usual: the length of an audit day, with it or without that
of a day, and a strategy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenesisPeer:
    """A peer of the first epoch: it votes, and it may store."""

    peer: PeerId
    name: str
    addresses: tuple[str, ...]
    """Multiaddrs to reach it at first; may be empty."""
    terms: PeerTerms = field(default_factory=PeerTerms)
    """What of its announcements counts, whatever it says; by default nothing."""

    def __post_init__(self) -> None:
        check_size(self.peer, PUBLIC_KEY_SIZE_BYTES, "a peer id")
        check_peer_texts(self.name, self.addresses)
        if self.terms.is_light:
            raise MalformedMessageError("a light peer founds no cluster: it has no ledger")


@dataclass(frozen=True, slots=True, kw_only=True)
class Genesis:
    """Everything that all peers of a cluster must agree on before its first batch."""

    created_ms: int
    """Unix milliseconds; no batch is older."""
    name: str
    peers: tuple[GenesisPeer, ...]
    """In primary-rotation order."""
    policy: Policy
    replication_min: int = PIN_REPLICATION_MIN_DEFAULT
    """For pins that do not say: ``EVERYWHERE`` (then both), or at least 1. Where there are fewer
    peers, such pins ask for as many as there are."""
    replication_max: int = PIN_REPLICATION_MAX_DEFAULT
    checkpoint_interval: int = CHECKPOINT_INTERVAL_SEQS
    """A state root is made every so many sequence numbers."""
    period_ms: int = PERIOD_DEFAULT_MS
    """Of consensus time: what allocation goes by stays as it is for so long."""
    audit_day_ms: int = AUDIT_DAY_DEFAULT_MS
    """Of consensus time: an active peer is drawn once in it for an audit; demonstrations have a
    shorter one. Encoded only where it is not the default, so that a genesis without it stays."""
    day_ms: int = AUDIT_DAY_DEFAULT_MS
    """Of consensus time: what days are counted in for standings, absences and departures. Shorter
    in demonstrations, and encoded likewise."""
    nonce: bytes
    """32 random bytes."""
    strategy: PinStrategy | None = None
    """For pins that do not say: by what their holders are chosen. None: `balanced`."""
    version: int = _VERSION
    cluster_id: ClusterId = field(init=False)
    """The name that every signature binds: SHA-256 of the canonical encoding."""

    def __post_init__(self) -> None:
        if self.version != _VERSION:
            raise MalformedMessageError(f"genesis version {self.version}")
        if not 1 <= len(self.name) <= PEER_NAME_MAX_CHARS:
            raise MalformedMessageError(
                f"a cluster's name has 1 to {PEER_NAME_MAX_CHARS} characters"
            )
        check_readable(self.name, "a cluster's name")
        if not 1 <= len(self.peers) <= REPLICAS_MAX:
            raise MalformedMessageError(f"a cluster starts with 1 to {REPLICAS_MAX} peers")
        if len({peer.peer for peer in self.peers}) != len(self.peers):
            raise MalformedMessageError("the peers of a genesis must be distinct")
        if not 0 <= self.created_ms <= TIME_MAX_MS:
            raise MalformedMessageError(f"a cluster cannot begin at {self.created_ms} ms")
        least, most = self.replication_min, self.replication_max
        if not (least == most == EVERYWHERE or 1 <= least <= most <= PIN_REPLICATION_MAX):
            raise MalformedMessageError("default replication is -1 for both, or 1 <= min <= max")
        if not 1 <= self.checkpoint_interval <= WINDOW_SIZE_SEQS:
            raise MalformedMessageError(f"a checkpoint every 1 to {WINDOW_SIZE_SEQS} batches")
        if not PERIOD_MIN_MS <= self.period_ms <= PERIOD_MAX_MS:
            raise MalformedMessageError(f"a period of {PERIOD_MIN_MS} to {PERIOD_MAX_MS} ms")
        if not AUDIT_DAY_MIN_MS <= self.audit_day_ms <= AUDIT_DAY_DEFAULT_MS:
            raise MalformedMessageError(
                f"an audit day of {AUDIT_DAY_MIN_MS} to {AUDIT_DAY_DEFAULT_MS} ms"
            )
        if not AUDIT_DAY_MIN_MS <= self.day_ms <= AUDIT_DAY_DEFAULT_MS:
            raise MalformedMessageError(f"a day of {AUDIT_DAY_MIN_MS} to {AUDIT_DAY_DEFAULT_MS} ms")
        check_size(self.nonce, DIGEST_SIZE_BYTES, "a genesis nonce")
        digest = hashlib.sha256(_ID_TAG + self.to_bytes()).digest()
        object.__setattr__(self, "cluster_id", ClusterId(digest))

    def membership(self) -> Membership:
        """Return who votes in epoch 0."""
        return Membership(Epoch(0), tuple(ReplicaId(peer.peer) for peer in self.peers))

    def to_bytes(self) -> bytes:
        """Return the canonical encoding."""
        more: list[int] = []
        if self.day_ms != AUDIT_DAY_DEFAULT_MS:
            more = [self.audit_day_ms, self.day_ms]
        elif self.audit_day_ms != AUDIT_DAY_DEFAULT_MS:
            more = [self.audit_day_ms]
        return codec.encode(
            [
                self.version,
                self.name,
                self.created_ms,
                [
                    [peer.peer, peer.name, peer.addresses, peer.terms.to_wire()]
                    for peer in self.peers
                ],
                self.policy.to_wire(),
                self.replication_min,
                self.replication_max,
                self.checkpoint_interval,
                self.period_ms,
                self.nonce,
                *more,
                *(() if self.strategy is None else (self.strategy.to_wire(),)),
            ]
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Genesis":
        """Return the genesis that ``data`` encodes.

        Raises:
            MalformedMessageError: It encodes none.
        """
        decoded = codec.decode(data, size_max_bytes=CBOR_SIZE_MAX_BYTES)
        kinds = [type(item) for item in decoded[len(_SHAPE) :]] if type(decoded) is list else []
        shape = [*_SHAPE, *kinds] if kinds in _MORE_SHAPES else _SHAPE
        version, name, created_ms, peers, policy, least, most, *rest = check_array(
            decoded, shape, "genesis"
        )
        interval, period_ms, nonce, *more = rest
        days, has_strategy = kinds.count(int), list in kinds
        if days and more[days - 1] == AUDIT_DAY_DEFAULT_MS:
            raise MalformedMessageError("the default of an audit day is not written")
        founders = [check_array(item, _PEER_SHAPE, "genesis peer") for item in peers]
        return cls(
            version=version,
            name=name,
            created_ms=created_ms,
            peers=tuple(
                GenesisPeer(
                    peer=PeerId(peer),
                    name=text,
                    addresses=tuple(addresses),
                    terms=terms_from_wire(terms),
                )
                for peer, text, addresses, terms in founders
            ),
            policy=Policy.from_wire(policy),
            replication_min=least,
            replication_max=most,
            checkpoint_interval=interval,
            period_ms=period_ms,
            audit_day_ms=more[0] if days else AUDIT_DAY_DEFAULT_MS,
            day_ms=more[1] if days > 1 else AUDIT_DAY_DEFAULT_MS,
            nonce=nonce,
            strategy=strategy_from_wire(more[-1]) if has_strategy else None,
        )
