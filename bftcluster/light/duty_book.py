"""What a light peer is to hold: its duties as proven, and those that relays have hinted at since.

A hint is believed as far as its approvals go: enough maintainers want the content kept, so fetching
it harms nobody, and that it is ours to keep is the relay's word. Two later checkpoints decide: what
neither of them gives us is dropped. That a duty has ended is believed by proof only, since an old
removal is as genuine as a new one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from bftcluster.cid import Cid
from bftcluster.errors import ClusterError
from bftcluster.ids import ClusterId, Seq
from bftcluster.ledger.state.duties import Duty
from bftcluster.ledger.wire.operations import PinOperation, parse_operation
from bftcluster.ledger.wire.requests import HolderStatus, Submit, parse_request
from bftcluster.limits import HINTS_MAX, WINDOW_SIZE_SEQS
from bftcluster.signing.envelope import Verifier
from bftcluster.signing.policies import Policy
from bftcluster.signing.schemes import verify_certificate
from bftcluster.sync.frames import DutyHint

_CHECKPOINTS_TO_CONFIRM = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class HintedDuty:
    """A pin that a relay says is ours."""

    cid: Cid
    hint: DutyHint
    since: Seq
    """The batch behind which a checkpoint must have it; at most a window ahead of what was known
    to be certified when the relay said so."""
    missed: int = 0
    """Checkpoints behind that batch that did not have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyChanges:
    """What became a duty, and what is one no more."""

    desired: tuple[Cid, ...] = ()
    dropped: tuple[Cid, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.desired or self.dropped)


@dataclass(slots=True)
class DutyBook:
    """Both kinds, side by side."""

    proven: dict[Cid, Duty] = field(default_factory=dict)
    seq: Seq = Seq(0)  # noqa: RUF009 - a number
    """The checkpoint that proved them; 0: none did."""
    hinted: dict[Cid, HintedDuty] = field(default_factory=dict)

    @property
    def cids(self) -> list[Cid]:
        """All of them, sorted."""
        return sorted({*self.proven, *self.hinted})

    def __contains__(self, cid: Cid) -> bool:
        """Whether a content is one of them."""
        return cid in self.proven or cid in self.hinted

    def has_reported(self, cid: Cid) -> bool:
        """Return whether it is proven that this peer reported to hold a content."""
        duty = self.proven.get(cid)
        return duty is not None and duty.status is HolderStatus.PINNED

    def add_hint(self, cid: Cid, hint: DutyHint, *, certified: Seq) -> bool:
        """Take a hint whose approvals were verified; return whether it is news.

        Args:
            cid: What the approvals are for.
            hint: The relay's word.
            certified: The newest checkpoint that we know of.
        """
        known = self.hinted.get(cid)
        is_old = hint.seq <= self.seq or (known is not None and known.since >= hint.seq)
        if cid in self.proven or is_old or (known is None and len(self.hinted) >= HINTS_MAX):
            return False
        since = Seq(min(hint.seq, certified + WINDOW_SIZE_SEQS))
        self.hinted[cid] = HintedDuty(cid=cid, hint=hint, since=since)
        return known is None

    def prove(self, seq: Seq, duties: Sequence[Duty]) -> DutyChanges:
        """Take all duties as of a checkpoint that is newer than any before."""
        assert seq >= self.seq, "checkpoints are proven in order"
        before = {*self.proven, *self.hinted}
        self.proven = {duty.cid: duty for duty in duties}
        self.seq = seq
        self.hinted = {each.cid: each for each in self._unconfirmed(seq)}
        after = {*self.proven, *self.hinted}
        return DutyChanges(
            desired=tuple(sorted(after - before)), dropped=tuple(sorted(before - after))
        )

    def _unconfirmed(self, seq: Seq) -> Iterable[HintedDuty]:
        """Return the hints that this checkpoint neither confirms nor refutes for good."""
        left = []
        for each in self.hinted.values():
            missed = each.missed + (seq >= each.since)
            if each.cid not in self.proven and missed < _CHECKPOINTS_TO_CONFIRM:
                left.append(replace(each, missed=missed))
        return left


def approved_cid(
    hint: DutyHint, cluster_id: ClusterId, policy: Policy, verifier: Verifier
) -> Cid | None:
    """Return what the approvals in a hint pin, if enough maintainers of ``policy`` made them."""
    try:
        request = parse_request(hint.approval)
        if not isinstance(request, Submit):
            return None
        intent = verify_certificate(request.certificate, policy, verifier).intent
        operation = parse_operation(intent.operation)
    except ClusterError:
        return None
    if intent.cluster_id == cluster_id and isinstance(operation, PinOperation):
        return operation.cid
    return None
