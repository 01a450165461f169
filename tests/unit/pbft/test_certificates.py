"""A certificate is a quorum of distinct members; nothing else convinces."""

import pytest

from bftcluster.errors import BadSignatureError, ThresholdNotMetError, UnknownSignerError
from bftcluster.ids import ReplicaId
from bftcluster.pbft.certificates import Certificate, check_certificate
from bftcluster.pbft.signatures import Signatures
from bftcluster_sim.cluster.cluster import CLUSTER_ID
from bftcluster_sim.cluster.signatures import SimVerifier, sim_key
from tests.unit.pbft.builders import checkpoint, committed, members, prepared


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
