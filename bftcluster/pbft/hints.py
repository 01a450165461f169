"""Keeps a checkpoint certificate from beyond the horizon as a hint, until nobody contradicts it.

A certificate proves something if its signers owned its sequence number. Up to the horizon that is
known. Beyond it they may have left since: then their keys sign what they like. Whoever knows a
later epoch can prove it by links, so a hint counts once there was time to object, a quorum of the
last epoch known is heard, and nobody claims a later one that it may yet prove.
"""

from bftcluster.ids import ReplicaId, Seq
from bftcluster.pbft.certificates import CheckpointCertificate
from bftcluster.pbft.core import Core
from bftcluster.pbft.messages import Status

_OBJECTION_STATUSES = 4
"""For how many intervals between statuses a hint waits for objections."""
_PROOF_STATUSES = 24
"""How many intervals whoever claims a later epoch has to prove it. It is asked more than once."""
_FRESH_STATUSES = 3


class Hints:
    """The highest certificate beyond the horizon, and who may contradict it."""

    __slots__ = ("_claimed_ms", "_core", "_hint", "_since_ms")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._hint: CheckpointCertificate | None = None
        self._since_ms = 0
        """Since when there is one of this epoch."""
        self._claimed_ms: dict[ReplicaId, int] = {}
        """Who says that it is in an epoch unknown to us, and since when."""

    @property
    def seq(self) -> Seq:
        """What the hint is about; 0 if there is none."""
        hint = self._current()
        return Seq(0) if hint is None else hint.seq

    def note(self, certificate: CheckpointCertificate) -> None:
        """Take a certificate of the last epoch known, verified under its members."""
        before = self._current()
        if before is None:
            self._since_ms = self._core.now_ms
        if before is None or certificate.seq > before.seq:
            self._hint = certificate

    def take_certain(self) -> CheckpointCertificate | None:
        """Return and forget the hint, if it is known by now that its signers owned its number."""
        hint = self._current()
        if hint is None or hint.seq > self._core.epochs.horizon:
            return None
        self._hint = None
        return hint

    @property
    def is_young(self) -> bool:
        """Whether there is a hint to which nobody had the time to object yet."""
        objection_ms = _OBJECTION_STATUSES * self._core.settings.status_interval_ms
        return self._current() is not None and self._core.now_ms < self._since_ms + objection_ms

    @property
    def believed(self) -> CheckpointCertificate | None:
        """The hint, if there is no reason to doubt it once it is no longer young."""
        hint, core = self._current(), self._core
        interval_ms = core.settings.status_interval_ms
        if hint is None:
            return None
        fresh_ms = core.now_ms - _FRESH_STATUSES * interval_ms
        heard = {replica for replica, (_, at_ms) in core.heard.items() if at_ms >= fresh_ms}
        proved_by_ms = _PROOF_STATUSES * interval_ms
        for claimant, at_ms in self._claimed_ms.items():
            if claimant in heard and core.now_ms < at_ms + proved_by_ms:
                return None
        heard.difference_update(self._claimed_ms)
        heard.add(core.me)
        latest = core.epochs.latest()
        return hint if len(heard.intersection(latest.replicas)) >= latest.quorum else None

    def on_status(self, sender: ReplicaId, status: Status) -> None:
        """Hear which epoch a peer is in; have it asked for a proof, if we do not know that one."""
        core = self._core
        if status.epoch <= core.epochs.latest().epoch:
            self._claimed_ms.pop(sender, None)
            return
        self._claimed_ms = {each: at for each, at in self._claimed_ms.items() if each in core.heard}
        self._claimed_ms.setdefault(sender, core.now_ms)
        core.out.ask_epochs(sender)

    def on_learned(self) -> None:
        """Start anew, after some have proved what they claimed: the others may yet."""
        self._claimed_ms.clear()

    def _current(self) -> CheckpointCertificate | None:
        """Return the hint, unless its number is another epoch's by now."""
        hint, core = self._hint, self._core
        if hint is not None and core.epochs.of(hint.seq).epoch != hint.epoch:
            self._hint = hint = None
        return hint
