"""Who knows the voters of one epoch follows links to those of the next, and to no others."""

from dataclasses import replace

import pytest

from bftcluster import codec
from bftcluster.errors import ClusterError, MalformedMessageError
from bftcluster.ids import Digest, Epoch, Seq
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.tree_proofs import prove
from bftcluster.ledger.state.membership_rows import epoch_key, epoch_to_value
from bftcluster.limits import EPOCH_LINKS_MAX
from bftcluster.membership import Membership
from bftcluster.pbft import CheckpointCertificate, EpochStart
from bftcluster.pbft.votes import VoteKind
from bftcluster.sync.epoch_proofs import EpochLink, follow, links_frame, read_links, starts_after
from bftcluster.sync.frames import EPOCHS, FETCH_EPOCHS, FetchEpochLinks
from bftcluster_sim.cluster.cluster import CLUSTER_ID
from bftcluster_sim.cluster.environment.signatures import SimVerifier
from tests.unit.pbft.builders import members, vote
from tests.unit.signing.people import POLICY
from tests.unit.sync.transfer_world import Server, pins


def certificate(root: Digest, epoch: int, *, seq: int, voters: int) -> bytes:
    votes = [
        vote(VoteKind.CHECKPOINT, voter, seq=seq, digest=root, epoch=epoch)
        for voter in range(voters)
    ]
    return CheckpointCertificate.of(votes).to_bytes()


def linked(epochs: int) -> tuple[list[EpochLink], list[EpochStart]]:
    """Return the links from epoch 0 on, of a cluster that grows by one in each epoch."""
    server = Server(pins(100))
    links: list[EpochLink] = []
    starts: list[EpochStart] = []
    for epoch in range(1, epochs + 1):
        start = EpochStart(Seq(16 * epoch + 1), members(4 + epoch, epoch))
        row, key = epoch_to_value(start), epoch_key(Epoch(epoch))
        server.put({(Space.EPOCH, key): row})
        server.checkpoint()
        old = members(3 + epoch, epoch - 1)
        signed = certificate(server.root, epoch - 1, seq=16 * epoch, voters=old.quorum)
        proof = prove(server.store, Space.EPOCH, key).to_bytes()
        links.append(EpochLink(certificate=signed, row=row, proof=proof))
        starts.append(start)
    return links, starts


def followed(links: list[EpochLink], known: Membership) -> list[EpochStart]:
    again = read_links(links_frame([link.to_bytes() for link in links]))
    return follow(again, known, CLUSTER_ID, SimVerifier(), POLICY)


def test_links_lead_from_the_genesis_to_the_present() -> None:
    links, starts = linked(5)

    assert followed(links, members(4)) == starts
    assert followed(links[2:], starts[1].membership) == starts[2:]
    assert followed([], members(4)) == []


def test_links_that_are_kept_tell_who_votes_up_to_the_first_that_is_missing() -> None:
    links, starts = linked(5)
    store = Server(pins(1)).store

    for epoch in (1, 2, 4, 5):
        row = (Space.EPOCH_LINK, epoch_key(Epoch(epoch)))
        store.flush({row: links[epoch - 1].to_bytes()})

    assert starts_after(store, Epoch(0)) == tuple(starts[:2])
    assert starts_after(store, Epoch(1)) == (starts[1],)
    assert starts_after(store, Epoch(2)) == ()
    assert starts_after(store, Epoch(3)) == tuple(starts[3:])


def test_links_that_do_not_begin_where_we_are_lead_nowhere() -> None:
    links, starts = linked(3)

    for wrong, known in ((links[1:], members(4)), (links, starts[0].membership)):
        with pytest.raises(ClusterError):
            followed(wrong, known)


def test_a_link_leads_to_the_next_epoch_only_even_where_a_later_one_is_named() -> None:
    """Between them others voted, and nobody would have asked them."""
    rows = {
        (Space.EPOCH, epoch_key(Epoch(number))): epoch_to_value(
            EpochStart(Seq(16 * number + 17), members(4 + number, number))
        )
        for number in (1, 2)
    }
    server = Server(rows)
    signed = certificate(server.root, 0, seq=16, voters=3)

    def link_to(number: int) -> EpochLink:
        key = epoch_key(Epoch(number))
        proof = prove(server.store, Space.EPOCH, key).to_bytes()
        return EpochLink(certificate=signed, row=rows[Space.EPOCH, key], proof=proof)

    assert followed([link_to(1)], members(4))[0].membership.epoch == 1
    with pytest.raises(ClusterError):
        followed([link_to(2)], members(4))


@pytest.mark.parametrize(
    "row",
    [
        [17, 1, [], []],
        [17, 1, [bytes(32)] * 2, []],
        [17, 1, [b"short"], []],
        [17, 1, [bytes(32)], [bytes(32)]],
        [17, -1, [bytes(32)], []],
        [16, 1, [bytes(32)], []],
        [17, 1],
        17,
    ],
)
def test_a_row_that_is_no_epoch_to_come_is_refused_even_if_a_quorum_of_old_keys_signed_it(
    row: object,
) -> None:
    key = epoch_key(Epoch(1))
    server = Server({(Space.EPOCH, key): codec.encode(row)})
    signed = certificate(server.root, 0, seq=16, voters=3)
    proof = prove(server.store, Space.EPOCH, key).to_bytes()

    with pytest.raises(ClusterError):
        followed([EpochLink(certificate=signed, row=codec.encode(row), proof=proof)], members(4))


def test_voters_that_nobody_certified_are_not_believed() -> None:
    [link], _ = linked(1)
    made_up = epoch_to_value(EpochStart(Seq(17), members(9, 1)))
    too_few = certificate(Digest(bytes(32)), 0, seq=16, voters=2)
    other = Server({(Space.EPOCH, epoch_key(Epoch(1))): made_up})
    proof = prove(other.store, Space.EPOCH, epoch_key(Epoch(1))).to_bytes()

    for wrong in (
        replace(link, row=made_up),
        replace(link, row=made_up, proof=proof),
        replace(link, row=made_up, proof=proof, certificate=too_few),
        replace(link, certificate=certificate(other.root, 0, seq=16, voters=2)),
        replace(link, certificate=certificate(other.root, 1, seq=16, voters=3)),
        replace(link, proof=b"\x80"),
        replace(link, proof=b""),
        replace(link, certificate=b""),
    ):
        with pytest.raises(ClusterError):
            followed([wrong], members(4))


def test_an_answer_has_no_more_links_than_agreed() -> None:
    frame = links_frame([b"link"] * (EPOCH_LINKS_MAX + 5))

    assert len(codec.decode(frame)[1]) == EPOCH_LINKS_MAX
    large = [bytes(200_000)] * 30
    assert 0 < len(codec.decode(links_frame(large))[1]) < 30


def test_requests_and_answers_are_taken_apart_with_care() -> None:
    assert FetchEpochLinks.from_frame(FetchEpochLinks(Epoch(7)).frame()).after == 7
    for wrong in ([FETCH_EPOCHS], [FETCH_EPOCHS, -1], [FETCH_EPOCHS, b""]):
        with pytest.raises(MalformedMessageError):
            FetchEpochLinks.from_frame(codec.encode(wrong))
    for wrong in (
        [EPOCHS],
        [EPOCHS, 1],
        [EPOCHS, [b"\x80"]],
        [EPOCHS, [1]],
        [EPOCHS, [b""] * (EPOCH_LINKS_MAX + 1)],
    ):
        with pytest.raises(MalformedMessageError):
            read_links(codec.encode(wrong))
