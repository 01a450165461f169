"""Lets a light peer that is lent go: it knows its own pins, and relays know who else holds them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import trio

from bftcluster.errors import StorageError
from bftcluster.ids import ClusterId
from bftcluster.ledger.wire.loan_requests import leave
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.node.ingress.peer_reports import Orders
from bftcluster.node.loops.departure import ORDER_TIMEOUT_S
from bftcluster.node.ports import Clock
from bftcluster.node.process.loan_file import LOAN_FILE, LoanChoice
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.threads import Workers
from bftcluster.signing.envelope import Signer

ASK_INTERVAL_S: Final = 10.0
"""How often a relay is asked whether others hold what is here."""
_FIRST_WORDS: Final = 2
"""So often the first word is said: relays take turns, and one may have lost it."""

_log = log_for("light")


class LightDeparture:
    """Says what a light peer has to say when it leaves.

    A relay hands the second word in when it has seen the first, and others hold what the peer
    holds. That is its word: one that lies lets the peer go too early, or keeps it for the week that
    the cluster waits at most.
    """

    def __init__(
        self,
        *,
        signer: Signer,
        cluster_id: ClusterId,
        directory: Path,
        orders: Orders,
        goes: Callable[[], bool],
        clock: Clock,
        stop: trio.Event,
        workers: Workers,
    ) -> None:
        """Prepare.

        Args:
            signer: Of the peer.
            cluster_id: Of its cluster.
            directory: Where its choice is kept.
            orders: Where its words go.
            goes: Returns whether it is proven that the first word was taken.
            clock: Unix time is what words are dated with.
            stop: Set when the peer has left.
            workers: Write the choice.
        """
        self._signer = signer
        self._cluster_id = cluster_id
        self._directory = directory
        self._orders = orders
        self._goes = goes
        self._clock = clock
        self._stop = stop
        self._workers = workers
        self._said = 0
        """How often a relay said that the first word was taken."""
        self._ask_at_s = float("-inf")

    async def go_on(self, choice: LoanChoice) -> None:
        """Say what is to be said now, if anything is."""
        if trio.current_time() >= self._ask_at_s:
            has_said = self._said >= _FIRST_WORDS or self._goes()
            await self._say(choice, is_final=has_said)

    async def _say(self, choice: LoanChoice, *, is_final: bool) -> None:
        now_ms = self._clock.wall_ms()
        word = leave(self._signer, cluster_id=self._cluster_id, now_ms=now_ms, is_final=is_final)
        [ordered] = await self._orders.order([word.to_bytes()], timeout_s=ORDER_TIMEOUT_S)
        if ordered is None:
            return
        match ordered.outcome.code:
            case OutcomeCode.NOT_ADMITTED:
                await self._end(choice)
            case OutcomeCode.COMMITTED | OutcomeCode.ALREADY if is_final:
                await self._end(choice)
            case OutcomeCode.COMMITTED | OutcomeCode.ALREADY:
                self._said += 1
                _log.info("leaving: others are given what is here")
            case OutcomeCode.NOT_YET_VALID if is_final and choice.leaves_now:
                await self._end(choice)  # Since the first word nothing counts on this peer.
            case OutcomeCode.NOT_YET_VALID:
                self._said = 0  # The relay that said it was taken may have lost it.
                self._ask_at_s = trio.current_time() + ASK_INTERVAL_S
            case _:
                self._ask_at_s = trio.current_time() + ASK_INTERVAL_S
                _log.warning("the cluster does not let this peer go", reason=ordered.outcome.label)

    async def _end(self, choice: LoanChoice) -> None:
        await self._workers.run(self._write, replace(choice, has_left=True))
        _log.info("this peer has left the cluster")
        self._stop.set()

    def _write(self, choice: LoanChoice) -> None:
        new = self._directory / f"{LOAN_FILE}.new"
        try:
            new.write_bytes(choice.to_bytes())
            new.replace(self._directory / LOAN_FILE)
        except OSError as exc:
            raise StorageError(
                f"that this peer has left cannot be noted in {new}: {exc.strerror}",
                hint="free some disk space; started again, it finds that it is no member any more",
            ) from exc
