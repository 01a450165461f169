"""Answers what peers that lag ask of this peer's ledger."""

from typing import assert_never

from bftcluster.pbft import CheckpointCertificate
from bftcluster.pbft.messages import StableCheckpoint
from bftcluster.sync.epoch_proofs import links_after, links_frame
from bftcluster.sync.frames import FetchEpochLinks, FetchState, Question
from bftcluster.sync.state_parts import Source, answer


def reply(store: Source, question: Question, stable: CheckpointCertificate | None) -> list[bytes]:
    """Return the frames that answer ``question``.

    Args:
        store: Our ledger, which must stand still meanwhile.
        question: What a peer wants.
        stable: Our last stable checkpoint: what whoever asks for a state that has gone can have.
    """
    match question:
        case FetchEpochLinks(after=after):
            return [links_frame(links_after(store, after))]
        case FetchState():
            parts = answer(store, question)
            has_gone = parts.root != question.root
            shown = [StableCheckpoint(stable).frame()] if has_gone and stable is not None else []
            return [*shown, parts.frame()]
        case _ as unreachable:
            assert_never(unreachable)
