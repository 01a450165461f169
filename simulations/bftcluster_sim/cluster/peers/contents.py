"""Contents, and how a store keeps them: each CID is one block, and a set of them is a store."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from bftcluster.cid import Cid
from bftcluster.ids import ReplicaId
from bftcluster.ledger.state.audit_rows import Challenge


@dataclass(slots=True, kw_only=True)
class ContentFaults:
    """How fetches fare; may be changed while the world runs."""

    delay_ms_max: int = 5
    failure_percent: int = 0
    lights: dict[ReplicaId, Callable[[Challenge], bool]] = field(default_factory=dict)
    """Of light peers, by key: whether one shows the blocks of an audit through a relay."""


class SimBlocks:
    """A block store. What was not synced may be gone after a power cut."""

    def __init__(self, before_call: Callable[[str], None] = lambda _name: None) -> None:
        self.before_call = before_call
        """Called before each effect; may raise to crash there."""
        self.is_full = False
        self._kept: dict[Cid, bool] = {}
        """Whether each is on the disk for good."""

    def keep(self, cid: Cid) -> None:
        """Store ``cid`` and make it durable."""
        self.before_call("write blocks")
        self._kept.setdefault(cid, False)
        self.before_call("sync blocks")
        self._kept[cid] = True

    def drop(self, cid: Cid) -> None:
        """Keep ``cid`` no longer."""
        self.before_call("delete blocks")
        self._kept.pop(cid, None)

    def has(self, cid: Cid) -> bool:
        """Return whether ``cid`` is here, whatever the power does."""
        return self._kept.get(cid, False)

    @property
    def kept(self) -> frozenset[Cid]:
        """What is here for good."""
        return frozenset(cid for cid, is_synced in self._kept.items() if is_synced)

    def roots(self, after: bytes, limit: int) -> list[Cid]:
        """Return up to ``limit`` CIDs behind ``after``, in their order."""
        return sorted(cid for cid in self._kept if cid > after)[:limit]

    def cut_power(self, random: Random) -> None:
        """Lose some of what is not synced."""
        self._kept = {
            cid: True for cid, is_synced in self._kept.items() if is_synced or random.random() < 0.5
        }
