"""Lies that hold together: only a certificate that is checked gives them away."""

from dataclasses import replace
from random import Random

from bftcluster.ids import Epoch, Seq, View
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.tree_nodes import EMPTY_PAGE, digest_of_value, page, path_of, record
from bftcluster.pbft import Batch
from bftcluster.pbft.certificates import CommitCertificate
from bftcluster.pbft.log import batch_digest
from bftcluster.pbft.messages import Entries, LogEntry
from bftcluster.pbft.new_view import Rejection
from bftcluster.sync.epoch_proofs import EpochLink, links_frame
from bftcluster.sync.frames import StateParts
from bftcluster_sim.cluster.adversary.lies import forged_claims, forged_entries, forgetful, misgiven
from tests.unit.pbft.builders import B, prepared, rules
from tests.unit.pbft.view_builders import resign, view_change

PROOFS = [prepared(1), prepared(2)]
CHANGE = view_change(1, view=2, proofs=PROOFS)
PAGE = page([record(path_of(Space.PIN, b"cid"), digest_of_value(b"pin"), Space.PIN, b"cid")])
BATCH = Batch(1_000, (b"one",))


def test_one_who_forgets_claims_nothing_and_is_believed_alone() -> None:
    lie = resign(forgetful(CHANGE))

    assert lie.claims == ()
    assert rules().reject_view_change(lie) is None


def test_forged_claims_fit_their_proofs_and_fail_by_the_signatures_only() -> None:
    lie = resign(forged_claims(CHANGE, B))

    assert [(claim.digest, claim.view) for claim in lie.claims] == [(B, 1), (B, 1)]
    assert rules().reject_view_change(lie) is Rejection.UNPROVEN_CLAIM


def test_a_forged_entry_names_another_batch_with_the_signatures_of_the_first() -> None:
    signed = ((CHANGE.replica, bytes(64)),)
    digest = batch_digest(BATCH.to_bytes())
    certificate = CommitCertificate(Epoch(0), View(0), Seq(1), digest, signed)
    entry = LogEntry(Seq(1), BATCH.to_bytes(), certificate.to_bytes())

    (data,) = forged_entries(Entries(Seq(1), (entry.to_bytes(),))).entries

    other = replace(BATCH, timestamp_ms=1_001).to_bytes()
    named = replace(certificate, digest=batch_digest(other))
    assert LogEntry.from_bytes(data) == LogEntry(Seq(1), other, named.to_bytes())


def test_a_source_of_states_lies_in_many_ways_and_now_and_then_says_the_truth() -> None:
    right = StateParts(number=1, root=B, nodes=(PAGE, EMPTY_PAGE), rows=(b"row",)).frame()
    random = Random(0)

    given = [misgiven(right, random) for _ in range(200)]

    assert {None, right} < set(given)
    assert len(set(given)) > 10
    assert misgiven(b"\x82\x0c\x00", random) == b"\x82\x0c\x00"


def test_links_between_epochs_are_told_wrong_likewise() -> None:
    links = [EpochLink(certificate=b"c", row=b"%d" % n, proof=b"p").to_bytes() for n in range(3)]
    right, random = links_frame(links), Random(0)

    given = {misgiven(right, random) for _ in range(200)}

    assert {None, right, links_frame([]), links_frame(links[::-1])} < given
