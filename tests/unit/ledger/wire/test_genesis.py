from dataclasses import replace

import pytest

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ledger.wire.genesis import Genesis, GenesisPeer
from bftcluster.ledger.wire.pin_strategy import PinStrategy
from tests.unit.ledger.world import PEERS, genesis_of, peer_id
from tests.unit.signing.people import DAY_MS

GENESIS = genesis_of()
IN_TWO_DOMAINS = PinStrategy(domains_min=2)


def test_a_genesis_survives_its_encoding() -> None:
    again = Genesis.from_bytes(GENESIS.to_bytes())

    assert again == GENESIS
    assert again.cluster_id == GENESIS.cluster_id


def test_two_clusters_never_share_an_id() -> None:
    others = [
        genesis_of(nonce=b"\x01" * 32),
        genesis_of(peers=PEERS[:5]),
        genesis_of(peers=PEERS[3::-1]),
        genesis_of(checkpoint_interval=64),
        replace(GENESIS, name="other"),
    ]

    assert len({GENESIS.cluster_id, *(other.cluster_id for other in others)}) == 6


def test_the_peers_of_a_genesis_vote_in_its_order() -> None:
    membership = GENESIS.membership()

    assert membership.replicas == tuple(map(peer_id, PEERS[:4]))
    assert membership.epoch == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 2}, "version 2"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"peers": ()}, "1 to 128 peers"),
        ({"peers": GENESIS.peers[:1] * 2}, "distinct"),
        ({"created_ms": -1}, "begin at"),
        ({"created_ms": 1 << 60}, "begin at"),
        ({"replication_min": 4, "replication_max": 3}, "default replication"),
        ({"replication_min": 1, "replication_max": -1}, "default replication"),
        ({"replication_min": 0, "replication_max": 0}, "default replication"),
        ({"replication_min": 3, "replication_max": 2}, "default replication"),
        ({"checkpoint_interval": 0}, "1 to 512"),
        ({"checkpoint_interval": 513}, "1 to 512"),
        ({"period_ms": 9_999}, "10000 to 604800000 ms"),
        ({"period_ms": 604_800_001}, "10000 to 604800000 ms"),
        ({"audit_day_ms": 9_999}, "an audit day of 10000 to 86400000 ms"),
        ({"day_ms": 9_999}, "a day of 10000 to 86400000 ms"),
        ({"day_ms": 86_400_001}, "a day of 10000 to 86400000 ms"),
        ({"nonce": b"short"}, "nonce"),
    ],
)
def test_a_genesis_outside_the_limits_is_refused(changes: dict, reason: str) -> None:
    with pytest.raises(MalformedMessageError, match=reason):
        replace(GENESIS, **changes)


@pytest.mark.parametrize("strategy", [None, IN_TWO_DOMAINS])
@pytest.mark.parametrize("audit_day_ms", [20_000, DAY_MS])
@pytest.mark.parametrize("day_ms", [20_000, DAY_MS])
def test_days_that_are_not_usual_survive_the_encoding(
    day_ms: int, audit_day_ms: int, strategy: PinStrategy | None
) -> None:
    genesis = replace(GENESIS, day_ms=day_ms, audit_day_ms=audit_day_ms, strategy=strategy)

    assert Genesis.from_bytes(genesis.to_bytes()) == genesis


def test_a_genesis_with_usual_days_has_the_bytes_that_it_had_before_there_were_others() -> None:
    assert len(codec.decode(GENESIS.to_bytes())) == 10


@pytest.mark.parametrize("days", [[DAY_MS], [20_000, DAY_MS], [DAY_MS, DAY_MS], [DAY_MS] * 3])
def test_a_usual_day_is_not_written(days: list[int]) -> None:
    items = codec.decode(GENESIS.to_bytes())

    with pytest.raises(MalformedMessageError):
        Genesis.from_bytes(codec.encode([*items, *days]))


def test_a_genesis_peer_has_a_key_and_multiaddrs() -> None:
    with pytest.raises(MalformedMessageError, match="peer id"):
        GenesisPeer(peer=b"key", name="", addresses=())
    with pytest.raises(MalformedMessageError, match="multiaddr"):
        GenesisPeer(peer=peer_id(PEERS[0]), name="", addresses=("somewhere",))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x00", codec.encode([1] * 10)])
def test_bytes_that_are_no_genesis_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        Genesis.from_bytes(data)


def test_a_genesis_peer_of_another_shape_is_refused() -> None:
    items = codec.decode(GENESIS.to_bytes())
    items[3] = [[b"key"]]

    with pytest.raises(MalformedMessageError, match="genesis peer"):
        Genesis.from_bytes(codec.encode(items))


def test_a_cluster_that_says_nothing_keeps_two_to_three_copies_and_weighs_hourly() -> None:
    silent = Genesis(
        name="archive",
        created_ms=GENESIS.created_ms,
        peers=GENESIS.peers,
        policy=GENESIS.policy,
        nonce=bytes(32),
    )

    assert (silent.replication_min, silent.replication_max) == (2, 3)
    assert silent.period_ms == 3_600_000
