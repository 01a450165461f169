"""Lies about the past, each of one piece: what only checks of proofs and hashes stand against.

Mutations change one place and seldom hit two that fit together. These do, so that a replica which
believes claims without proofs, or proofs without signatures, is sure to fork some day.
"""

from dataclasses import replace
from random import Random

from bftcluster.ids import Digest, View
from bftcluster.ledger.rows.tree_nodes import is_branch, page, records_of
from bftcluster.pbft import Batch
from bftcluster.pbft.certificates import CommitCertificate
from bftcluster.pbft.log import batch_digest
from bftcluster.pbft.messages import Entries, LogEntry
from bftcluster.pbft.view_messages import Claim, ViewChange
from bftcluster.sync.epoch_proofs import links_frame, read_links
from bftcluster.sync.frames import Receiver, StateParts, receiver_of


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


def misgiven(frame: bytes, random: Random) -> bytes | None:
    """Return what a peer answers that gives a state, or who votes, as it is not; None is nothing.

    Args:
        frame: The right answer; any other frame is left alone.
        random: Decides which lie it is, and one answer in three is right.
    """
    receiver = receiver_of(frame)
    is_answer = receiver in (Receiver.STATE_TRANSFER, Receiver.EPOCH_SYNC)
    if not is_answer or random.random() < 1 / 3:
        return frame
    if random.random() < 0.3:
        return random.choice((None, frame[:2], frame[:-1], frame[:2] + random.randbytes(40)))
    if receiver is Receiver.EPOCH_SYNC:
        links = [link.to_bytes() for link in read_links(frame)]
        return links_frame(random.choice((links[::-1], links[1:], links[:1] * 2, [])))
    parts = StateParts.from_frame(frame)
    nodes, rows = parts.nodes, parts.rows
    other = random.choice(
        (
            replace(parts, nodes=tuple(node[:-1] + bytes((node[-1] ^ 1,)) for node in nodes)),
            replace(parts, nodes=tuple(map(_poorer, nodes))),
            replace(parts, rows=tuple(row + b"!" for row in rows)),
            replace(parts, nodes=nodes[::-1], rows=rows[::-1]),
            replace(parts, nodes=nodes[:1], rows=rows[:1] if not nodes else ()),
            replace(parts, nodes=nodes * 2, rows=rows * 2),
            replace(parts, root=Digest(bytes(32)), nodes=(), rows=()),
            replace(parts, nodes=(), rows=()),
        )
    )
    return other.frame()


def _poorer(node: bytes) -> bytes:
    """Return a page of the tree without its last row, as it would be in another state."""
    return node if is_branch(node) else page(records_of(node)[:-1])
