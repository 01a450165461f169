"""Lies about the past, each of one piece: what only the checks of certificates stand against.

Mutations change one place and seldom hit two that fit together. These do, so that a replica which
believes claims without proofs, or proofs without signatures, is sure to fork some day.
"""

from dataclasses import replace

from bftcluster.ids import Digest, View
from bftcluster.pbft import Batch
from bftcluster.pbft.certificates import CommitCertificate
from bftcluster.pbft.log import batch_digest
from bftcluster.pbft.messages import Entries, LogEntry
from bftcluster.pbft.view_messages import Claim, ViewChange


def forgetful(change: ViewChange) -> ViewChange:
    """Return ``change`` as of one to whom nothing was ever prepared."""
    return replace(change, claims=(), accepted=(), proofs=())


def forged_claims(change: ViewChange, digest: Digest) -> ViewChange:
    """Return ``change`` with ``digest`` prepared as late as can be, on certificates nobody made."""
    view = View(max(0, change.view - 1))
    proofs = tuple(replace(proof, view=view, digest=digest) for proof in change.proofs)
    return replace(change, claims=tuple(Claim.of(proof) for proof in proofs), proofs=proofs)


def forged_entries(entries: Entries) -> Entries:
    """Return a log of other batches, each with a certificate that names it."""
    return replace(entries, entries=tuple(_forged(entry) for entry in entries.entries))


def _forged(data: bytes) -> bytes:
    entry = LogEntry.from_bytes(data)
    batch = Batch.from_bytes(entry.batch)
    if not batch.requests:
        return data
    other = replace(batch, timestamp_ms=batch.timestamp_ms + 1).to_bytes()
    certificate = CommitCertificate.from_bytes(entry.certificate)
    named = replace(certificate, digest=batch_digest(other))
    return LogEntry(entry.seq, other, named.to_bytes()).to_bytes()
