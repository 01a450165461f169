"""Tells light peers what batches gave them, long before a checkpoint proves it."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn

import trio

from bftcluster.cid import Cid, text
from bftcluster.errors import ClusterError
from bftcluster.ids import PeerId, Seq
from bftcluster.ledger.rows.store import ManyRowsPort
from bftcluster.ledger.rules.effects import Effect, KeepPin
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.wire.requests import Submit
from bftcluster.limits import HINTS_PER_ANSWER_MAX
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.threads import Workers
from bftcluster.node.reads import LedgerReads
from bftcluster.node.service.approval_archive import approval_certificate
from bftcluster.pbft import CheckpointCertificate
from bftcluster.shell_limits import HINT_LOG_ENTRIES_MAX, HINTS_WAITING_MAX
from bftcluster.signing.policies import Policy
from bftcluster.sync.frames import DutyHint

_ANSWER_PAUSE_S: Final = 0.02
"""Between two answers: each may look 64 approvals up, and anybody asks as often as he likes."""
_KEPT_MAX: Final = 256
"""Approvals that are at hand: each pin has several holders, and they ask at about the same time."""

_log = log_for("relay")


@dataclass(slots=True, kw_only=True)
class DutyHints:
    """Finds the approvals of what light peers were given, one pin after the other."""

    reads: LedgerReads
    """Of the ledger, for approvals."""
    reader: ManyRowsPort
    """Of the ledger, for duties."""
    guests: Callable[[], Collection[PeerId]]
    """Returns the light peers that are connected."""
    stable: Callable[[], CheckpointCertificate | None]
    """Returns the last stable checkpoint: what it has they can prove."""
    send: Callable[[PeerId, bytes], object]
    """Sends a frame."""
    workers: Workers
    """Read the ledger."""
    _given: OrderedDict[tuple[PeerId, Cid], None] = field(default_factory=OrderedDict, init=False)
    _asked: dict[PeerId, int] = field(default_factory=dict, init=False)
    """From which slot on who asked wants to be told; the newest question of each."""
    _approvals: OrderedDict[tuple[Cid, Seq], bytes] = field(default_factory=OrderedDict, init=False)
    """Those that were found; empty: they are not to be found."""
    _arrived: trio.Event = field(default_factory=trio.Event, init=False)

    def note(self, effects: Sequence[Effect]) -> None:
        """Take in what batches gave to whom. Beyond the bound it is asked for."""
        guests: Collection[PeerId] | None = None
        for effect in effects:
            if isinstance(effect, KeepPin) and effect.record.allocations:
                guests = set(self.guests()) if guests is None else guests
                for peer in effect.record.allocations:
                    if peer in guests and len(self._given) < HINTS_WAITING_MAX:
                        self._given[peer, effect.cid] = None
        if self._given:
            self._arrived.set()

    def ask(self, peer: PeerId, slot: int) -> None:
        """Tell ``peer`` soon what it was given, from a slot on."""
        self._asked[peer] = slot
        self._arrived.set()

    async def run(self) -> NoReturn:
        """Tell until cancelled: what was just given first."""
        while True:
            try:
                if self._given:
                    (peer, cid), _ = self._given.popitem(last=False)
                    await self._tell(peer, [cid], after=Seq(0))
                elif self._asked:
                    peer = next(iter(self._asked))
                    await self._answer(peer, self._asked.pop(peer))
                    await trio.sleep(_ANSWER_PAUSE_S)
                else:
                    self._arrived = trio.Event()
                    await self._arrived.wait()
            except ClusterError as exc:
                _log.info("a light peer was not told of its duties", reason=str(exc))

    async def _answer(self, peer: PeerId, slot: int) -> None:
        stable = self.stable()
        duties = await self.workers.run(
            queries.duties_from, self.reader, peer, slot, 2 * HINTS_PER_ANSWER_MAX
        )
        cids = [duty.cid for duty in duties]
        await self._tell(peer, cids, after=Seq(0) if stable is None else stable.seq)

    async def _tell(self, peer: PeerId, cids: Sequence[Cid], *, after: Seq) -> None:
        """Tell a light peer of those of ``cids`` that were ordered behind ``after``."""
        head, policy = await self.reads.head(), await self.reads.policy()
        records = await self.reads.pins_of(cids)
        new = [records[cid] for cid in cids if cid in records and records[cid].seq > after]
        told = 0
        for record in new:
            if peer not in record.allocations or told == HINTS_PER_ANSWER_MAX:
                continue
            approval = self._approvals.get((record.cid, record.seq))
            if approval is None:
                approval = await self._approval(record, policy)
                self._keep(record, approval)
            if approval:
                self.send(peer, DutyHint(seq=head.seq, approval=approval).frame())
                told += 1

    async def _approval(self, record: PinRecord, policy: Policy) -> bytes:
        """Return what approved a pin; empty if it is not to be found, which concerns no other."""
        try:
            certificate = await approval_certificate(
                self.reads, record, policy, entries_max=HINT_LOG_ENTRIES_MAX
            )
        except ClusterError as exc:
            _log.info("light peers are not told of a duty", cid=text(record.cid), reason=str(exc))
            return b""
        return Submit(certificate=certificate).to_bytes()

    def _keep(self, record: PinRecord, approval: bytes) -> None:
        self._approvals[record.cid, record.seq] = approval
        if len(self._approvals) > _KEPT_MAX:
            self._approvals.popitem(last=False)
