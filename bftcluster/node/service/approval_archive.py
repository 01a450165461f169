"""Who approved a pin, found again in the log: the proof an archive shows in twenty years."""

from collections.abc import Sequence
from typing import Final, assert_never

from bftcluster import codec
from bftcluster.errors import MalformedMessageError, NotFoundError
from bftcluster.ids import Digest, MaintainerId, Seq
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.wire import requests
from bftcluster.ledger.wire.audit_requests import Answer, Attest, Pledge
from bftcluster.ledger.wire.beacon_requests import Complain, Contribute, Deal
from bftcluster.ledger.wire.loan_requests import Leave, Redeem
from bftcluster.limits import SIGNATURE_SIZE_BYTES
from bftcluster.node.reads import LedgerReads
from bftcluster.pbft import Batch
from bftcluster.signing.approvals import Approval, ApprovalCertificate, Intent
from bftcluster.signing.keys import Ed25519Verifier
from bftcluster.signing.policies import Policy
from bftcluster.signing.schemes import certify, members

_PAGE_ENTRIES: Final = 64


async def approval_certificate(
    reads: LedgerReads, record: PinRecord, policy: Policy, *, entries_max: int | None = None
) -> ApprovalCertificate:
    """Return the approvals of a pin, whether they came complete or one by one on the log.

    Reads the log backwards from where the pin was ordered to where its intent was first proposed,
    at most ``entries_max``. It has a gap where a fetched state took the place of entries.

    Raises:
        NotFoundError: The log no longer reaches back that far, or it was not read so far.
    """
    approvals: dict[bytes, Approval] = {}
    last = record.seq
    end = 0 if entries_max is None else max(0, last - entries_max)
    while last > end:
        first = Seq(max(end + 1, last - _PAGE_ENTRIES + 1))
        entries = await reads.log_entries(first, last - first + 1)
        if len(entries) < last - first + 1 and first < last:
            first = last  # Where the log begins or has a gap, or is too large: one by one.
            entries = await reads.log_entries(first, 1)
        if not entries:
            break
        for request in _requests_backwards(entries):
            match request:
                case requests.Submit(certificate=certificate):
                    if Intent.from_bytes(certificate.intent).digest == record.intent_digest:
                        return certificate
                case requests.Approve(intent_digest=digest, approval=approval):
                    if digest == record.intent_digest:
                        approvals[approval.maintainer] = approval
                case requests.Propose(intent=intent, approval=approval):
                    if _digest_of(intent) == record.intent_digest:
                        approvals[approval.maintainer] = approval
                        votes = [a for a in approvals.values() if a.maintainer in record.approvers]
                        return certify(intent, votes, policy, Ed25519Verifier())
                case (
                    requests.Reject()
                    | requests.ReportPinned()
                    | requests.Join()
                    | requests.ReportEvidence()
                    | Deal()
                    | Complain()
                    | Contribute()
                    | Pledge()
                    | Answer()
                    | Attest()
                    | Redeem()
                    | Leave()
                ):
                    pass
                case _ as unreachable:
                    assert_never(unreachable)
        last = Seq(first - 1)
    raise NotFoundError(
        "the log of this peer no longer holds the approvals of this pin",
        hint='ask a peer that keeps all of the log (`storage.keep_log = "all"`, which is the '
        "default) and has been there since the pin was approved",
    )


def signatures_of(
    certificate: ApprovalCertificate, policy: Policy
) -> list[tuple[MaintainerId, bytes]]:
    """Return each approver of an Ed25519 certificate with the signature."""
    size = SIGNATURE_SIZE_BYTES
    return [
        (maintainer, certificate.signatures[i * size : (i + 1) * size])
        for i, maintainer in enumerate(members(certificate.signers, policy))
    ]


def _requests_backwards(entries: Sequence[bytes]) -> list[requests.Request]:
    found: list[requests.Request] = []
    for entry in reversed(entries):
        _, batch, _ = codec.decode(entry)
        for data in reversed(Batch.from_bytes(batch).requests):
            try:
                found.append(requests.parse_request(data))
            except MalformedMessageError:  # ordered by a faulty primary, refused at execution
                continue
    return found


def _digest_of(intent: bytes) -> Digest | None:
    try:
        return Intent.from_bytes(intent).digest
    except MalformedMessageError:
        return None
