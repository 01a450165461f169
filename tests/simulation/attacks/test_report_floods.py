"""Ten thousand identities that report without end: strangers, light peers, and one peer alone."""

from collections import Counter
from dataclasses import replace

import pytest

from bftcluster.ids import ReplicaId
from bftcluster.ledger.state.shares import HOUR_MS, Spent
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.ledger.wire.requests import report
from bftcluster.limits import PEER_REQUESTS_PER_HOUR_MAX, SHARE_USED_UP_PACE_MS
from bftcluster.pbft import ReplicaSettings, Verdict
from bftcluster.pbft.pool import RequestPool, request_digest
from bftcluster_sim.cluster.environment.signatures import SimSigner
from bftcluster_sim.cluster.runs.volunteers import VOTERS, VolunteerWorld
from bftcluster_sim.cluster.world import SETTINGS as SIMULATED
from tests.unit.ledger.world import GIB, PEERS, World, cid_of, peer_id

IDENTITIES = 10_000
RELAYS = 32
SETTINGS = ReplicaSettings()
SHARES = VOTERS + 1
"""Of our own clients, each other voter, and all followers together."""
SMALL_BATCHES = replace(SIMULATED, batch_requests_max=5)
APPROVALS = 30
FLOODERS = 10


def names(word: bytes, count: int) -> list[ReplicaId]:
    return [ReplicaId((word + b"%d" % number).ljust(32, b".")) for number in range(count)]


def flooded_pool(size_bytes: int = 0) -> tuple[RequestPool, list[ReplicaId]]:
    """A pool that relays filled with what ten thousand light peers handed them."""
    me, *voters = names(b"voter", VOTERS)
    relays = names(b"relay", RELAYS)
    pool = RequestPool(
        me=me,
        requests_max=SETTINGS.pool_requests_max,
        size_max_bytes=SETTINGS.pool_size_max_bytes,
        name=request_digest,
    )
    pool.seat((me, *voters))
    for number in range(IDENTITIES):
        said = b"report %d " % number
        bring(pool, said.ljust(size_bytes, b"."), relays[number % RELAYS])
    return pool, [me, *voters]


def bring(pool: RequestPool, request: bytes, sender: ReplicaId) -> Verdict:
    return pool.add(request, request_digest(request), sender=sender, now_ms=0)


def taken(pool: RequestPool) -> Counter[bytes]:
    """Return how many of each kind the next batch has."""
    batch = pool.take(
        requests_max=SETTINGS.batch_requests_max,
        size_max_bytes=SETTINGS.batch_size_max_bytes,
        share_max_bytes=SETTINGS.batch_share_max_bytes,
        may_propose=bool,
    )
    return Counter(request.split()[0] for request in batch)


def test_a_flood_of_ten_thousand_is_one_turn_of_a_batch_among_the_voters() -> None:
    """Bound (ADRs 0023, 0036): relays together are served as one voter: 1 turn of n + 1.

    So of a batch of 100 they have 20 while four voters have approvals waiting, though ten thousand
    reports came first; and each voter's first approval is among the first five requests.
    """
    pool, voters = flooded_pool()
    for voter in voters:
        for number in range(APPROVALS):
            assert bring(pool, b"approval %d of %s" % (number, voter), voter) is Verdict.ACCEPTED

    batches = [taken(pool), taken(pool)]

    assert batches[0][b"report"] == SETTINGS.batch_requests_max // SHARES
    assert sum(each[b"approval"] for each in batches) == VOTERS * APPROVALS


def test_a_flood_of_large_reports_is_a_quarter_of_a_batch() -> None:
    """Bound (ADR 0023): of a batch of 1 MiB all relays together have 256 KiB."""
    pool, _ = flooded_pool(size_bytes=9_000)

    [reports] = taken(pool).values()

    assert reports * 9_000 <= SETTINGS.batch_share_max_bytes < (reports + 1) * 9_000


def test_a_flood_of_ten_thousand_leaves_each_voter_its_part_of_the_pool() -> None:
    """Bound (ADR 0023): a pool full of reports makes room for each voter, up to a fifth of it."""
    pool, voters = flooded_pool()
    part = SETTINGS.pool_requests_max // SHARES

    for voter in voters:
        said = [bring(pool, b"approval %d of %s" % (each, voter), voter) for each in range(part)]
        assert set(said) == {Verdict.ACCEPTED}

    waiting = Counter(each.request.split()[0] for each in pool.waiting.values())
    assert waiting == {b"approval": VOTERS * part, b"report": part}


def strangers(world: World, count: int) -> list[bytes]:
    """Return reports of so many peers that nobody admitted."""
    return [
        report(
            SimSigner(name),
            cluster_id=world.genesis.cluster_id,
            counter=world.now_ms,
            entries=(),
            free_bytes=GIB,
        ).to_bytes()
        for name in names(b"stranger", count)
    ]


@pytest.mark.parametrize("count", [1_000, pytest.param(IDENTITIES, marks=pytest.mark.slow)])
def test_a_flood_by_strangers_has_no_place_in_the_order_and_writes_no_row(count: int) -> None:
    """Bound (ADR 0024): of ten thousand identities that nobody admitted 0 reports are wanted.

    A primary that orders a hundred of them all the same writes 0 rows of theirs.
    """
    world = World()
    world.join_all()
    reports = strangers(world, count)

    assert not any(map(world.verifier.is_wanted, reports))
    world.run()
    rows = [key for key, _ in world.store.state_rows()]
    applied = world.run(*reports[:100])

    assert {each.code for each in applied.outcomes} == {OutcomeCode.NOT_ADMITTED}
    assert [key for key, _ in world.store.state_rows()] == rows


def test_a_peer_that_has_used_up_its_hour_is_heard_once_a_minute() -> None:
    """Bound (ADR 0024): one identity has 60,000 requests an hour on the log, then 1 a minute.

    What maintainers approve, and what others report, is ordered all the while.
    """
    world = World()
    world.join_all()
    flooder, minutes, heard = PEERS[0], 10, 0
    state, hour = world.ledger._state, world.now_ms // HOUR_MS
    spent = Spent(hour=hour, requests=PEER_REQUESTS_PER_HOUR_MAX, counted_ms=world.now_ms)
    state.put_peer(replace(state.peers[peer_id(flooder)], spent=spent))

    for each in range(4 * minutes):
        said = world.report(flooder).to_bytes()
        if world.verifier.is_wanted(said):
            heard += world.do(said).is_accepted
        assert world.pin(cid_of(each)).is_accepted
        assert world.verifier.is_wanted(world.report(PEERS[1]).to_bytes())
        world.run(after_ms=SHARE_USED_UP_PACE_MS // 4)

    assert world.now_ms // HOUR_MS == hour
    assert 0 < heard <= minutes


class Flooded(VolunteerWorld):
    """Each light peer hands in reports as fast as relays take them."""

    def flood(self, reports: int) -> None:
        world = self.world
        for number in range(reports):
            for light, relay in ((each, self.relays[number % 2]) for each in self.lights):
                request = report(
                    SimSigner(light.key),
                    cluster_id=world.founding.cluster_id,
                    counter=2_000_000_000_000 + number,
                    entries=(),
                    free_bytes=GIB,
                ).to_bytes()
                world.hand_in(request, "flood", to=relay.node.index)


def batches_until_pinned(reports: int) -> int:
    """Return how many batches are ordered until a pin is, that came after all reports."""
    cluster = Flooded(FLOODERS, settings=SMALL_BATCHES)
    node = cluster.world.nodes[0]
    cluster.flood(reports)
    cluster.wait_ms(5)
    before = node.state.executed
    request = cluster.world.founding.placed_request(1)
    cluster.world.hand_in(request, "pin", to=0)
    while not cluster.world.has_effect(node, request):
        cluster.wait_ms(1)
    return node.state.executed - before


def test_a_pin_passes_by_the_reports_that_wait_before_it() -> None:
    """Bound (ADR 0023): over the network as well, a pin waits for what was proposed before it.

    That is half a window, 8 batches here, where 200 reports of ten light peers take forty, and 600
    three times as many. How many there are makes no difference: they have one turn together.
    """
    waits = [batches_until_pinned(reports) for reports in (20, 60)]

    assert max(waits) <= SMALL_BATCHES.window_size_seqs // 2
