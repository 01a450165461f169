"""Asks for the batches that slots wait for: one source after the other."""

from bftcluster.pbft.core import Core
from bftcluster.pbft.messages import FetchBody
from bftcluster.pbft.steps import Lane


class BodyAsker:
    """Asks the primary first, for it made the batch or has to have it, and then the others."""

    __slots__ = ("_asked_ms", "_core", "_source")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._asked_ms: int | None = None
        self._source = 0

    @property
    def deadline_ms(self) -> int | None:
        """When to ask, or to ask the next; None if nothing is wanted."""
        core = self._core
        if not core.wanted:
            return None
        wait_ms = core.settings.fetch_timeout_ms
        return core.now_ms if self._asked_ms is None else self._asked_ms + wait_ms

    def on_time(self) -> None:
        """Ask one source after the other for batches that slots wait for."""
        core = self._core
        if not core.wanted:
            self._asked_ms = None
            return
        if self._asked_ms is None:
            self._asked_ms = core.now_ms
            self._source = core.membership.replicas.index(core.primary)
            if not self._is_reproposal_wanted():
                return  # A fresh batch is usually right behind its PRE-PREPARE.
        elif core.now_ms < self._asked_ms + core.settings.fetch_timeout_ms:
            return
        self._asked_ms = core.now_ms
        replicas = core.membership.replicas
        others = replicas[self._source :] + replicas[: self._source]
        others = tuple(replica for replica in others if replica != core.me)
        if not others:
            return
        source = others[0]
        self._source = (replicas.index(source) + 1) % len(replicas)
        for digest in list(core.wanted)[: core.settings.slots_in_flight_max]:
            core.out.send_early(source, FetchBody(digest).frame(), Lane.SYNC)

    def _is_reproposal_wanted(self) -> bool:
        """Whether a NEW-VIEW orders a batch that we do not hold."""
        slots = (self._core.log.slots.get(seq) for seq in self._core.wanted.values())
        return any(slot is not None and slot.reproposed for slot in slots)
