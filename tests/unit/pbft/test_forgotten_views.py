"""What a replica that forgot a view it left, or opened, may sign; and that nobody waits for it."""

from bftcluster import codec
from bftcluster.ids import Epoch, ReplicaId, Seq, View
from bftcluster.pbft import MessageReceived
from bftcluster.pbft.frames import kind_of
from bftcluster.pbft.messages import BODY, REQUESTS, STABLE, VOUCH, Doubt, Vouch
from bftcluster.pbft.view_messages import NEW_VIEW, VIEW_CHANGE
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.cluster import SimulatedCluster
from bftcluster_sim.cluster.hosts import MEMBERS, Host, HostDisk
from tests.unit.pbft.forgetting import (
    SETTINGS,
    order,
    restart,
    votes_of,
)


def gives_up_alone(cluster: SimulatedCluster, index: int, *, view: int, heard_by: set[int]) -> None:
    """Have one host give up views on a liar's word, so that only some hear its VIEW-CHANGEs."""
    host = cluster.hosts[index]
    cluster.network.cut = lambda source, target, frame: (
        source == index
        and (kind_of(frame) == REQUESTS or (kind_of(frame) == 5 and target not in heard_by))
    )
    cluster.submit(b"never heard of by the primary", to=index)
    while host.replica.is_active:
        doubt = Doubt(Epoch(0), host.replica.view).frame()
        host.step(MessageReceived(cluster.hosts[0].me, doubt))
        cluster.run(100)
    while host.replica._core.target_view < view:
        host.replica._view_changer.give_up(View(host.replica._core.target_view + 1))
    cluster.run(SETTINGS.view_change_resend_ms + 100)
    cluster.heal()


def prepared_at_its_primary_only(cluster: SimulatedCluster) -> None:
    cluster.network.cut = lambda _source, target, frame: (
        kind_of(frame) == VoteKind.COMMIT or (kind_of(frame) == VoteKind.PREPARE and target != 0)
    )
    cluster.submit(b"prepared", to=0)
    cluster.run(20)


def opened_for_one_only(cluster: SimulatedCluster, host: Host, other: int) -> HostDisk:
    """Have ``host`` open view 1 for ``other``, and propose there; return its disk from before."""
    cut = (VIEW_CHANGE, NEW_VIEW, VoteKind.PRE_PREPARE, BODY)
    cluster.network.cut = lambda source, target, frame: (
        0 in (source, target) or (target not in (host.index, other) and kind_of(frame) in cut)
    )
    cluster.submit(b"fresh", to=host.index)
    copy = host.disk
    while host.replica.view == 0:
        copy = host.disk.copy()
        assert cluster.clock.step()
    cluster.run(30)
    return copy


def test_who_may_have_opened_a_view_opens_it_after_a_start_when_others_know_no_better(
    cluster: SimulatedCluster,
) -> None:
    """One is away that knows how the view began, and the answers of the others are late."""
    prepared_at_its_primary_only(cluster)
    host = cluster.hosts[1]
    copy = opened_for_one_only(cluster, host, 2)
    said = votes_of(cluster, 1)
    cluster.network.cut = lambda source, target, frame: (
        2 in (source, target) or (target == 1 and kind_of(frame) == VOUCH)
    )

    restart(cluster, 1, copy, run_ms=3_000)
    assert NEW_VIEW not in {
        kind_of(frame) for _, source, _, frame in cluster.network.sent if source == 1
    }
    cluster.heal()
    cluster.run(10_000)

    for slot, digests in votes_of(cluster, 1).items():
        assert len(digests | said.get(slot, set())) == 1, f"two votes at {slot}"
    assert not any(each.evidence for each in cluster.hosts)
    cluster.check_agreement()
    order(cluster, 2, to=0)
    cluster.run(5_000)
    assert cluster.hosts[0].replica.last_executed >= 3


def test_a_view_that_we_opened_and_forgot_proves_the_loss(cluster: SimulatedCluster) -> None:
    """What we proposed there is known only to one that is away."""
    order(cluster, 1)
    host = cluster.hosts[1]
    cluster.network.cut = lambda source, target, frame: (
        (0 in (source, target) and (source, target) != (1, 0))
        or (source == 1 and target != 0 and kind_of(frame) in (VoteKind.PRE_PREPARE, BODY))
    )
    cluster.submit(b"fresh", to=1)
    copy = host.disk
    while host.replica.view == 0:
        copy = host.disk.copy()
        assert cluster.clock.step()
    cluster.run(30)
    said = votes_of(cluster, 1)
    assert (VoteKind.PRE_PREPARE, 0, 1, 2) in said
    cluster.network.cut = lambda source, target, _frame: 0 in (source, target)

    restart(cluster, 1, copy)
    assert "older copy" in host.replica.silence
    cluster.submit(b"another", to=2)
    cluster.run(5_000)
    cluster.heal()
    cluster.run(10_000)

    for slot, digests in votes_of(cluster, 1).items():
        assert len(digests | said.get(slot, set())) == 1, f"two votes at {slot}"
    cluster.check_agreement()
    assert all(b"another" in each.requests for each in cluster.hosts)


def test_nothing_is_signed_below_a_promise_in_the_step_that_ends_the_silence(
    cluster: SimulatedCluster,
) -> None:
    order(cluster, 2)
    copy = cluster.hosts[3].disk.copy()
    gives_up_alone(cluster, 3, view=3, heard_by={0, 1, 2})
    host = restart(cluster, 3, copy)
    assert host.replica._core.guard.promised == (0, 3)
    while host.replica.stable < 16:
        order(cluster, 1)
    cluster.network.cut = lambda _source, target, frame: (
        target == 3 and kind_of(frame) in (VoteKind.CHECKPOINT, STABLE)
    )
    order(cluster, 6)
    cluster.network.cut = lambda source, target, frame: (
        0 in (source, target)
        or (target == 3 and kind_of(frame) in (VoteKind.CHECKPOINT, STABLE, NEW_VIEW))
    )
    for backup in (1, 2):
        cluster.submit(b"of %d" % backup, to=backup)
    cluster.run(1_300)
    assert [each.replica.stable for each in cluster.hosts[:4]] == [20, 20, 20, 16]

    cluster.heal()
    cluster.run(3_000)

    assert host.is_up
    assert host.replica.silence == ""
    assert host.replica._core.target_view == 4


def test_a_promise_that_only_one_knew_of_stops_nobody_when_that_one_dies(
    cluster: SimulatedCluster,
) -> None:
    """Who is bound cannot vote in the view of the others, and they do not know why."""
    order(cluster, 2)
    copy = cluster.hosts[3].disk.copy()
    gives_up_alone(cluster, 3, view=1, heard_by={2})
    host = restart(cluster, 3, copy)
    assert host.replica._core.guard.promised == (0, 1)
    order(cluster, 30)
    assert host.replica.silence == ""
    cluster.hosts[2].stop()

    cluster.submit(b"with the three that are left", to=1)
    cluster.run(10_000)

    assert b"with the three that are left" in host.requests


def test_who_heard_of_a_view_before_it_voted_has_forgotten_nothing(
    cluster: SimulatedCluster,
) -> None:
    """A follower writes no view down; when it is named as a member, others note what it says."""
    order(cluster, 1)
    cluster.hosts[0].stop()
    cluster.submit(b"in view 1", to=1)
    cluster.run(4_000)
    cluster.hosts[0].start()
    cluster.run(2_000)
    newcomer = cluster.hosts[4]
    cluster.submit(MEMBERS + bytes(range(5)), to=1)
    while newcomer.replica.last_executed < 6:
        order(cluster, 1)
    cluster.network.cut = lambda _source, target, _frame: target == 4
    order(cluster, 6)
    cluster.run(3 * SETTINGS.status_interval_ms)
    assert newcomer.replica.membership.epoch == 0
    assert cluster.hosts[0].replica._core.furthest[newcomer.me] == (0, 1, 4)
    cluster.heal()

    restart(cluster, 4, newcomer.disk)

    assert newcomer.replica.silence == ""
    assert newcomer.reports == ["new-epoch epoch 1 begins"]


def hinted_only(host: Host, *heard: list[int]) -> None:
    """Let the answers to ``host`` hold no signature of its own, and the hint that is given."""
    deliver = host.receive

    def receive(sender: ReplicaId, frame: bytes) -> None:
        if kind_of(frame) == VOUCH:
            value = codec.decode(frame)
            hint = heard[0] if heard else value[7]
            frame = codec.encode([*value[:5], [], b"", hint, b""])
        deliver(sender, frame)

    host.receive = receive  # type: ignore[method-assign]


def liars_answer(cluster: SimulatedCluster, host: Host) -> None:
    answer = Vouch(
        nonce=host.replica._probation._nonce,
        epoch=Epoch(0),
        horizon=Seq(100),
        is_sure=True,
        votes=(),
        view_change=None,
        heard=(Epoch(0), View(9), Seq(10_000)),
        stable=None,
    )
    host.receive(cluster.hosts[0].me, answer.frame())


def test_what_was_made_up_for_is_held_against_nobody_again(cluster: SimulatedCluster) -> None:
    """Else one liar could silence us for ever with the hints that honest members once gave."""
    order(cluster, 2)
    copy = cluster.hosts[3].disk.copy()
    order(cluster, 7)
    cluster.run(2_000)
    host = cluster.hosts[3]
    hinted_only(host)
    restart(cluster, 3, copy)
    assert "older copy" in host.replica.silence
    order(cluster, 40)
    assert host.replica.silence == ""

    liars_answer(cluster, host)

    assert host.replica.silence == ""


def test_of_a_view_that_others_heard_we_wanted_a_promise_is_made_and_kept(
    cluster: SimulatedCluster,
) -> None:
    order(cluster, 2)
    host = cluster.hosts[3]
    hinted_only(host, [0, 2, 0])
    restart(cluster, 3, host.disk)
    assert "older copy" in host.replica.silence
    assert host.replica._core.guard.promised == (0, 2)

    order(cluster, 40)
    assert host.replica.silence == ""
    liars_answer(cluster, host)
    assert host.replica.silence == ""
    restart(cluster, 3, host.disk)
    assert host.replica._core.guard.promised >= (0, 2)
    assert host.replica.silence == ""
