"""Brings damaged blocks back from other peers: for a reader who waits, or when a scrub found them.

The store knows what is damaged, also after a restart, so nothing here has to be remembered.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn

import trio

from bftcluster.blocks.exchange.exchange import Exchange
from bftcluster.blocks.formats.block import key_of, raw_cid
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.cid import Cid, text
from bftcluster.errors import BlockNotFoundError, ClusterError
from bftcluster.ids import PeerId
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.threads import Workers

_LOOK_INTERVAL_S: Final = 10.0
_REST_MAX_S: Final = 600.0
"""Between tries of what nobody has."""
_PER_LOOK_MAX: Final = 64
_TOLD_MAX: Final = 10_000
"""Blocks of which a log names no more; the status counts all."""
READER_PATIENCE_S: Final = 5.0
"""A reader holds a thread while it waits."""

_log = log_for("blocks")


@dataclass(slots=True)
class _Attempt:
    """What those who wait for the same block are told."""

    ended: trio.Event = field(default_factory=trio.Event)
    data: bytes | None = None
    problem: str = ""
    """Empty, and no data: whoever tried has left."""


@dataclass(slots=True, kw_only=True)
class Healer:
    """Asks the peers that are connected for blocks that the disk has lost."""

    blocks: EmbeddedStore
    exchange: Exchange
    connected: Callable[[], Sequence[PeerId]]
    workers: Workers
    _under_way: dict[Cid, _Attempt] = field(default_factory=dict, init=False)
    _told: set[Cid] = field(default_factory=set, init=False)
    """Blocks that cannot be healed, and of which the log has said so."""

    async def run(self) -> NoReturn:
        """Heal what is found damaged, until cancelled; what nobody has is tried less and less."""
        rest_s, next_s = _LOOK_INTERVAL_S, trio.current_time()
        prospects = self._prospects()
        while True:
            if trio.current_time() >= next_s or self._prospects() != prospects:
                prospects = self._prospects()
                is_vain = await self._is_vain()
                rest_s = min(2 * rest_s, _REST_MAX_S) if is_vain else _LOOK_INTERVAL_S
                next_s = trio.current_time() + rest_s
            await trio.sleep(_LOOK_INTERVAL_S)

    async def _is_vain(self) -> bool:
        """Try to heal; return whether something is damaged and nothing was healed."""
        before = self.blocks.damage()
        try:
            await self.heal_all()
        except ClusterError as exc:
            _log.warning("what is damaged cannot be looked up", reason=str(exc))
            return False
        return before.blocks > 0 and self.blocks.damage().healed == before.healed

    async def heal_all(self) -> None:
        """Try once to heal whatever is damaged, at a pace that leaves the disk to others."""
        after = 0
        while True:
            page = await self.workers.run(self.blocks.damaged, after, _PER_LOOK_MAX)
            for number, cid in page:
                with contextlib.suppress(BlockNotFoundError):
                    await self._heal(cid)
                after = number
            if len(page) < _PER_LOOK_MAX:
                return
            await trio.sleep(_LOOK_INTERVAL_S)

    async def heal(self, cid: Cid) -> bytes:
        """Return a block that is damaged here, from a peer that has it; keep it, if the disk can.

        Raises:
            BlockNotFoundError: No peer that is connected has it, or sends it in time.
        """
        with trio.move_on_after(READER_PATIENCE_S):
            return await self._heal(raw_cid(key_of(cid)))
        raise BlockNotFoundError(f"{text(cid)} is damaged here, and no peer has sent it in time")

    async def _heal(self, cid: Cid) -> bytes:
        while (other := self._under_way.get(cid)) is not None:
            await other.ended.wait()
            if other.data is not None:
                return other.data
            if other.problem:
                raise BlockNotFoundError(other.problem)
        attempt = self._under_way[cid] = _Attempt()
        try:
            attempt.data = await self.exchange.fetch_block(cid, self.connected())
            await self._keep(cid, attempt.data)
        except BlockNotFoundError as exc:
            attempt.problem = str(exc)
            self._warn(cid, attempt.problem)
            raise
        finally:
            del self._under_way[cid]
            attempt.ended.set()
        return attempt.data

    async def _keep(self, cid: Cid, data: bytes) -> None:
        try:
            await self.workers.run(self.blocks.put, cid, data)
        except ClusterError as exc:
            self._warn(cid, str(exc))
        else:
            self._told.discard(cid)
            _log.warning("a damaged block was healed", cid=text(cid))

    def _warn(self, cid: Cid, reason: str) -> None:
        """Say once of a block that it cannot be healed."""
        if cid not in self._told and len(self._told) < _TOLD_MAX:
            self._told.add(cid)
            _log.warning("a damaged block cannot be healed", cid=text(cid), reason=reason)

    def _prospects(self) -> tuple[int, frozenset[PeerId]]:
        """Return what makes another try worth while, once it changes."""
        return self.blocks.damage().found, frozenset(self.connected())
