"""What a peer that lags may ask of our ledger, and what it is told."""

from typing import TypeAlias

from bftcluster.ids import Epoch
from bftcluster.pbft import CheckpointCertificate
from bftcluster.pbft.messages import StableCheckpoint
from bftcluster.sync.epoch_proofs import links_after, links_frame, read_fetch
from bftcluster.sync.messages import FETCH_STATE, FetchState, Source, answer

Request: TypeAlias = FetchState | Epoch
"""Parts of a state, or the links behind an epoch."""


def read_request(frame: bytes) -> Request:
    """Return what ``frame`` asks for.

    Raises:
        MalformedMessageError: It asks for nothing.
    """
    return FetchState.from_frame(frame) if frame[1] == FETCH_STATE else read_fetch(frame)


def reply(store: Source, request: Request, stable: CheckpointCertificate | None) -> list[bytes]:
    """Return the frames that answer ``request``.

    Args:
        store: Our ledger, which must stand still meanwhile.
        request: What a peer wants.
        stable: Our last stable checkpoint: what whoever asks for a state that has gone can have.
    """
    if not isinstance(request, FetchState):
        return [links_frame(links_after(store, request))]
    parts = answer(store, request)
    has_gone = parts.root != request.root
    shown = [StableCheckpoint(stable).frame()] if has_gone and stable is not None else []
    return [*shown, parts.frame()]
