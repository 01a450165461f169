"""A certificate is a quorum of distinct members; nothing else convinces."""

from dataclasses import replace

import pytest

from bftcluster.errors import (
    BadSignatureError,
    ClusterError,
    SigningError,
    ThresholdNotMetError,
    UnknownSignerError,
)
from bftcluster.ids import Epoch, ReplicaId, Seq, View
from bftcluster.pbft.certificates import (
    Certificate,
    CommitCertificate,
    check_certificate,
    verify_commit_certificate,
)
from bftcluster.pbft.signatures import Signatures
from bftcluster_sim.cluster.cluster import CLUSTER_ID
from bftcluster_sim.cluster.environment.signatures import SimVerifier, sim_key
from tests.unit.pbft.builders import B, checkpoint, committed, members, prepared


def check(certificate: Certificate, n: int = 4) -> None:
    signatures = Signatures(cluster_id=CLUSTER_ID, verifier=SimVerifier())
    check_certificate(certificate, members(n), signatures)


@pytest.mark.parametrize(("n", "quorum"), [(4, 3), (5, 4), (6, 4), (7, 5)], ids=str)
def test_a_quorum_convinces_and_one_signer_less_does_not(n: int, quorum: int) -> None:
    for voters in (range(quorum), range(quorum - 1)):
        for certificate in (
            committed(1, voters=tuple(voters)),
            checkpoint(4, voters=tuple(voters)),
            prepared(1, n=n, voters=tuple(voter for voter in voters if voter)),
        ):
            if len(voters) == quorum:
                check(certificate, n)
                continue
            with pytest.raises(ThresholdNotMetError):
                check(certificate, n)


@pytest.mark.parametrize(
    "certificate",
    [
        committed(1, voters=(0, 1, 1)),
        checkpoint(4, voters=(2, 2, 2)),
        prepared(1, voters=(1, 1)),
    ],
    ids=["committed", "checkpoint", "prepared"],
)
def test_a_signer_named_twice_counts_once(certificate: Certificate) -> None:
    with pytest.raises(ThresholdNotMetError):
        check(certificate)


def test_the_primary_has_no_part_in_the_prepares() -> None:
    with pytest.raises(UnknownSignerError, match="primary"):
        check(prepared(1, voters=(0, 1, 2)))


def test_one_forged_signature_spoils_a_certificate() -> None:
    good = committed(1)
    stolen = (*good.signatures[:2], (ReplicaId(sim_key(3)), good.signatures[2][1]))

    with pytest.raises(BadSignatureError):
        check(type(good)(good.epoch, good.view, good.seq, good.digest, stolen))


GOOD = committed(7, view=2)
CHEAP: dict[str, tuple[CommitCertificate, type[SigningError]]] = {
    "of another epoch": (replace(GOOD, epoch=Epoch(1)), UnknownSignerError),
    "with a signer that has left": (committed(7, voters=(0, 1, 4)), UnknownSignerError),
    "with a signer that has left besides a quorum": (
        committed(7, voters=(0, 1, 2, 4)),
        UnknownSignerError,
    ),
    "with more signers than members": (
        replace(GOOD, signatures=GOOD.signatures * 2),
        UnknownSignerError,
    ),
    "with a signer too few": (committed(7, voters=(0, 1)), ThresholdNotMetError),
    "with one signer twice": (committed(7, voters=(0, 1, 1)), ThresholdNotMetError),
    "that nobody signed": (replace(GOOD, signatures=()), ThresholdNotMetError),
}
FORGED: dict[str, CommitCertificate] = {
    "for another sequence number": replace(GOOD, seq=Seq(8)),
    "for another view": replace(GOOD, view=View(3)),
    "for another batch": replace(GOOD, digest=B),
    "of checkpoint votes": CommitCertificate(
        GOOD.epoch, View(0), Seq(7), GOOD.digest, checkpoint(7, GOOD.digest).signatures
    ),
    "of prepares": replace(GOOD, signatures=prepared(7, view=2, voters=(0, 1, 3)).signatures),
}


def follow(certificate: CommitCertificate) -> int:
    """Return how many signatures a follower checked to refuse it."""
    verifier = SimVerifier()
    with pytest.raises(ClusterError):
        verify_commit_certificate(certificate.to_bytes(), members(), CLUSTER_ID, verifier)
    return verifier.checks


@pytest.mark.parametrize("name", CHEAP)
def test_a_follower_refuses_without_looking_at_a_signature(name: str) -> None:
    certificate, error = CHEAP[name]

    with pytest.raises(error):
        check(certificate)
    assert follow(certificate) == 0


@pytest.mark.parametrize("name", FORGED)
def test_a_follower_refuses_at_the_first_signature_for_something_else(name: str) -> None:
    with pytest.raises(BadSignatureError):
        check(FORGED[name])
    assert follow(FORGED[name]) == 1


def test_a_follower_believes_what_a_quorum_signed() -> None:
    data = GOOD.to_bytes()

    assert verify_commit_certificate(data, members(), CLUSTER_ID, SimVerifier()) == GOOD
