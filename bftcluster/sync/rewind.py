"""What a store must be given, and must keep, to go back to the checkpoint of a recovery."""

from collections.abc import Sequence

from bftcluster.ids import Digest, PeerId, Seq
from bftcluster.ledger.ledger import Ledger
from bftcluster.ledger.rows.spaces import Key, Space
from bftcluster.ledger.rows.store import Delta
from bftcluster.ledger.state.membership_rows import epoch_key
from bftcluster.pbft.epochs import EpochStart, with_start
from bftcluster.pbft.verdicts import Verdict
from bftcluster.sync.epoch_proofs import EpochLink
from bftcluster.sync.fetcher import StateFetcher
from bftcluster.sync.retention import Store
from bftcluster.sync.state_parts import Source, answer
from bftcluster.sync.transfer import StagePort


def stage_checkpoint(stage: StagePort, own: Source, root: Digest) -> bool:
    """Stage the state with this root out of our own store; return whether the store keeps it.

    It keeps what rows and nodes were at its last checkpoint, and where the log is cut, at the few
    before. Each part is checked by its digest, as one that comes from another peer.
    """
    me = PeerId(root)  # The only source, whoever it is.
    stage.clear()
    fetcher = StateFetcher(stage=stage, own=own)
    fetcher.aim(root, [me])
    stage.flush(fetcher.take_delta())
    while not fetcher.is_complete:
        requests = fetcher.requests(0)
        stage.flush(fetcher.take_delta())
        for source, request in requests:
            verdict = fetcher.on_parts(source, answer(own, request), 0)
            stage.flush(fetcher.take_delta())
            if verdict is not Verdict.ACCEPTED:
                return False
    return True


def goes_back(seq: Seq, position: Seq, epochs: Sequence[EpochStart]) -> bool:
    """Return whether a recovery takes the state back to what it was at its checkpoint.

    It does so at the checkpoint itself, too, if that state holds an earlier recovery from it, which
    this one takes the place of.

    Args:
        seq: The checkpoint of the recovery.
        position: The last batch that was executed.
        epochs: Those that are known.
    """
    given_up = position == seq and epochs[-1].first == position + 1
    return position > seq or (given_up and epochs[-1].is_recovery)


def begin_recovery(ledger: Ledger, store: Store) -> None:
    """Carry out the recovery that begins where the state is, if one does, and make that durable."""
    delta = ledger.recover()
    if delta:
        store.flush(delta, (), ledger.head.seq)
        store.sync()


def links_to_change(epochs: Sequence[EpochStart], start: EpochStart, link: EpochLink) -> Delta:
    """Return the links that a recovery changes: those to epochs that are given up lead nowhere.

    Args:
        epochs: Those that are known.
        start: The epoch that the recovery begins.
        link: To it.
    """
    remaining = with_start(epochs, start)
    links: dict[Key, bytes | None] = {
        (Space.EPOCH_LINK, epoch_key(each.membership.epoch)): None
        for each in epochs
        if each not in remaining
    }
    links[Space.EPOCH_LINK, epoch_key(start.membership.epoch)] = link.to_bytes()
    return links
