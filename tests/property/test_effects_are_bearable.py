"""Whatever the ledger accepts, a running peer bears it, and starts again on it."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bftcluster import cid as cids
from bftcluster.cid import Cid, write_varint
from bftcluster.errors import ClusterError
from bftcluster.ids import PeerId
from bftcluster.ledger.wire.invitation_operations import RevokeInvite
from bftcluster.ledger.wire.loan_requests import leave, redeem
from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster.ledger.wire.operations import Operation, PinMode, PinOperation, UnpinOperation
from bftcluster.ledger.wire.peer_terms import PeerTerms
from bftcluster.ledger.wire.pin_strategy import AgeRule, PinStrategy, SetAgeRules, StrategyName
from bftcluster.ledger.wire.requests import HolderStatus, ReportEntry, join, report
from bftcluster.limits import INVITE_USES_MAX, PEER_CAPACITY_MAX_BYTES, TIME_MAX_MS
from tests.property.running_peer import Loner, Running
from tests.unit.ledger.invitees import INVITE, INVITE_KEY, invitation
from tests.unit.ledger.world import PEERS, cid_of, peer_id

COUNTER_MAX = (1 << 63) - 1
SOON_MS = 4_000_000_000_000
"""Far from now, and no limit."""


def odd_cid(codec: int, code: int = 0x12, digest: bytes = bytes(32)) -> Cid:
    """A CID of any codec and hash function."""
    data = b"\x01" + write_varint(codec) + write_varint(code) + write_varint(len(digest)) + digest
    return cids.from_bytes(data)


CIDS = st.sampled_from(
    [
        cid_of(1),
        cid_of(2),
        cids.of_block(b"raw"),
        cids.of_block(b"", version=0, codec=cids.DAG_PB),
        odd_cid(0x129),
        odd_cid((1 << 62) - 1),
        odd_cid(0x55, 0x00, b"in itself"),
        odd_cid(0x70, 0x00, b"no dag-pb"),
        odd_cid(0x71, 0x00, b"\xff"),
        odd_cid(0x129, 0x00, b""),
    ]
)
TEXTS = st.text(max_size=20) | st.sampled_from(
    [
        "",
        "\x00",
        "\x1b[2J",
        "\u202e",
        "\x85",
        "\U0001f4a9" * 50,
        "x" * 255,
        '"}\n{',
        "../..",
        "a\tb",
    ]
)


def pin_of(replication: int, **options: object) -> PinOperation:
    """A pin with the same replication at least and at most."""
    return PinOperation(replication_min=replication, replication_max=replication, **options)


SPREAD = PinStrategy(name=StrategyName.TAGS, required=(("a\n", "\x1b"),), spread="\u202e")
PINS = st.builds(
    pin_of,
    cid=CIDS,
    name=TEXTS,
    mode=st.sampled_from(PinMode),
    replication=st.sampled_from([-1, 0]),
    metadata=st.dictionaries(TEXTS.filter(bool).map(lambda t: t[:100]), TEXTS, max_size=3).map(
        lambda pairs: tuple(sorted(pairs.items()))
    ),
    user_allocations=st.sampled_from([(), (peer_id(PEERS[1]),), (PeerId(bytes(32)),)]),
    expire_at_ms=st.sampled_from([0, SOON_MS, TIME_MAX_MS - 1, TIME_MAX_MS]),
    origins=st.sampled_from([(), ("/p2p/",), ("/unix/x\x00/p2p/\n",)]),
    pin_update=st.none() | CIDS,
    strategy=st.sampled_from([None, PinStrategy(), SPREAD]),
)
ADDRESSES = st.sampled_from(
    [
        (),
        ("/ip4/127.0.0.1/tcp/1",),
        ("/ip6/::/tcp/65535", "/ip4/0.0.0.0/tcp/1"),
        (f"/dns/{'.'.join(['a' * 63] * 3)}/tcp/9",),
        ("/dns4/localhost/tcp/1",) * 16,
    ]
)
PEER_NAMES = TEXTS.map(lambda text: text[:100])
PEER_IDS = st.sampled_from([peer_id(PEERS[1]), PeerId(bytes(32)), PeerId(b"\xff" * 32)])


def admitted(
    peer: PeerId, name: str, addresses: tuple[str, ...], capacity: int, place: str
) -> AdmitPeer | None:
    """The admission of a storage peer, if the ledger's rules let it be written."""
    try:
        terms = PeerTerms(capacity_bytes=capacity, domain=place, operator=place)
        return AdmitPeer(peer=peer, name=name, addresses=addresses, votes=False, terms=terms)
    except ClusterError:
        return None


AGE_RULES = st.sampled_from(
    [(), (AgeRule(0, 1, 1),), (AgeRule(1, 2, 3), AgeRule(TIME_MAX_MS, 1, 1))]
)


OPERATIONS = (
    PINS
    | st.builds(UnpinOperation, cid=CIDS)
    | st.builds(
        admitted,
        peer=PEER_IDS,
        name=PEER_NAMES,
        addresses=ADDRESSES,
        capacity=st.sampled_from([0, 1, PEER_CAPACITY_MAX_BYTES]),
        place=PEER_NAMES,
    ).filter(bool)
    | st.builds(RemovePeer, peer=PEER_IDS)
    | st.builds(
        invitation,
        uses=st.sampled_from([1, INVITE_USES_MAX]),
        expires_ms=st.sampled_from([SOON_MS, TIME_MAX_MS]),
        is_place_open=st.booleans(),
    )
    | st.just(RevokeInvite(key=INVITE_KEY))
    | st.builds(SetAgeRules, rules=AGE_RULES)
)
SIZES = st.sampled_from([0, 1, 1 << 53, 1 << 62, COUNTER_MAX])
ANNOUNCEMENTS = st.tuples(PEER_NAMES, ADDRESSES, SIZES, SIZES, st.sampled_from([0, COUNTER_MAX]))
REPORTS = st.lists(
    st.builds(
        ReportEntry,
        CIDS | st.binary(min_size=1, max_size=128).map(Cid),
        st.sampled_from(HolderStatus),
        st.just(""),
    ),
    max_size=5,
    unique_by=lambda entry: entry.cid,
)


async def come_and_go(peer: Running, loner: Loner, name: str) -> None:
    """Redeem an invitation, if there is one, and leave, with one word or with two."""
    cluster_id = loner.genesis.cluster_id
    try:
        asked = PeerTerms(capacity_bytes=PEER_CAPACITY_MAX_BYTES, domain=name, operator=name)
        request = redeem(
            PEERS[5], INVITE, cluster_id=cluster_id, name=name, addresses=(), asked=asked
        )
    except ClusterError:
        return
    await peer.order(request)
    now_ms = time.time_ns() // 1_000_000
    for who, is_final in ((PEERS[1], False), (PEERS[5], False), (PEERS[5], True)):
        await peer.order(leave(who, cluster_id=cluster_id, now_ms=now_ms, is_final=is_final))


async def bear(
    loner: Loner,
    operations: list[Operation],
    announcements: list[tuple[str, tuple[str, ...], int, int, int]],
    reports: list[list[ReportEntry]],
) -> None:
    """Order all of it on a running peer; it runs on, and again."""
    cluster_id, counter = loner.genesis.cluster_id, SOON_MS
    async with loner.running() as peer:
        await peer.order(*map(loner.submit, operations), *map(loner.propose, operations))
        for name, addresses, capacity, free, ahead in announcements:
            for signer in (loner.key, PEERS[1]):
                try:
                    request = join(
                        signer,
                        cluster_id=cluster_id,
                        counter=ahead or counter,
                        name=name,
                        addresses=addresses,
                        capacity_bytes=capacity,
                        free_bytes=free,
                        tags={"group": name[:64]},
                    )
                except ClusterError:
                    continue
                await peer.order(request)
        for name, *_ in announcements:
            await come_and_go(peer, loner, name)
        for entries in reports:
            await peer.order(
                report(
                    PEERS[1],
                    cluster_id=cluster_id,
                    counter=COUNTER_MAX,
                    entries=tuple(entries),
                    free_bytes=COUNTER_MAX,
                )
            )
        await peer.settle()
        await peer.read_all(operations)
        assert await peer.order(loner.submit(PinOperation(cid=cid_of("after")))) == ["committed"]
    async with loner.running() as peer:
        await peer.settle()
        await peer.read_all(operations)
        assert await peer.order(loner.submit(PinOperation(cid=cid_of("again")))) == ["committed"]


@settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    operations=st.lists(OPERATIONS, min_size=4, max_size=12),
    announcements=st.lists(ANNOUNCEMENTS, max_size=2),
    reports=st.lists(REPORTS, max_size=2),
)
def test_any_accepted_request_leaves_a_peer_running_and_able_to_start_again(
    tmp_path_factory: pytest.TempPathFactory,
    operations: list[Operation],
    announcements: list[tuple[str, tuple[str, ...], int, int, int]],
    reports: list[list[ReportEntry]],
) -> None:
    loner = Loner(tmp_path_factory.mktemp("peer"))
    trio.run(bear, loner, operations, announcements, reports)


def test_the_worst_that_is_known_leaves_a_peer_running_and_able_to_start_again(
    tmp_path: Path,
) -> None:
    far = PinOperation(cid=cid_of(1), name="\x1b[2J\x00", expire_at_ms=TIME_MAX_MS)
    operations: list[Operation] = [
        AdmitPeer(peer=peer_id(PEERS[1]), name="", addresses=(), votes=False),
        AdmitPeer(peer=PeerId(b"\xff" * 32), name="x", addresses=(), votes=False),
        far,
        replace(far, cid=odd_cid((1 << 62) - 1)),
        replace(far, cid=odd_cid(0x70, 0x00, b"no dag-pb")),
        replace(far, cid=odd_cid(0x129), mode=PinMode.DIRECT),
    ]
    sizes = ("a peer", ("/dns/a.b/tcp/1",), COUNTER_MAX, COUNTER_MAX, 0)
    held = [ReportEntry(cid_of(1), HolderStatus.PIN_ERROR), ReportEntry(Cid(b"x"), HolderStatus(1))]

    trio.run(bear, Loner(tmp_path), operations, [sizes, (*sizes[:4], COUNTER_MAX)], [held])
