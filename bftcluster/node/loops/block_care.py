"""Looks after the blocks on the disk: a scrub finds damage, a healer mends it."""

from collections.abc import Callable, Sequence

import trio

from bftcluster.blocks.exchange.exchange import Exchange
from bftcluster.ids import PeerId
from bftcluster.node.loops.healer import Healer
from bftcluster.node.loops.scrub import Scrubber
from bftcluster.node.parts import Parts
from bftcluster.node.ports import Clock
from bftcluster.node.process.threads import Workers


class BlockCare:
    """Runs both, as the configuration says."""

    def __init__(
        self,
        parts: Parts,
        exchange: Exchange,
        connected: Callable[[], Sequence[PeerId]],
        clock: Clock,
        workers: Workers,
    ) -> None:
        self.healer = Healer(
            blocks=parts.blocks, exchange=exchange, connected=connected, workers=workers
        )
        rate_bytes_per_s = parts.config.scrub_rate_bytes_per_s
        self._scrubber = rate_bytes_per_s and Scrubber(
            blocks=parts.blocks,
            directory=parts.config.directory,
            rate_bytes_per_s=rate_bytes_per_s,
            clock=clock,
            workers=workers,
        )

    async def run(self) -> None:
        """Look after the blocks until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.healer.run)
            if self._scrubber:
                nursery.start_soon(self._scrubber.run)
