"""Has this peer's part of the beacon ordered: its dealings, complaints and partials, when due."""

from collections.abc import Sequence
from typing import Final, NoReturn, Self

import trio

from bftcluster.ledger.rules.effects import BeaconMoved, Effect, FraudProven
from bftcluster.ledger.state import queries
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.node.ingress.gateway import Gateway
from bftcluster.node.parts import Parts
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.threads import Workers
from bftcluster.signing.keys import peer_id_text
from bftcluster.storage.ledger_reader import LedgerReader
from bftcluster.sync.beacon_duties import BeaconDuties

ATTEMPT_TIMEOUT_S: Final = 15.0
LOOK_AGAIN_S: Final = 2.0
"""After something was refused, or not ordered in time."""
_OTHERS_WERE_SOONER: Final = frozenset((OutcomeCode.REPLAYED, OutcomeCode.EXPIRED))

_log = log_for("node")


class BeaconLoop:
    """Looks what is owed when the ledger says that something moved, until nothing is."""

    def __init__(
        self,
        *,
        duties: BeaconDuties,
        reader: LedgerReader,
        gateway: Gateway,
        workers: Workers,
    ) -> None:
        """Prepare.

        Args:
            duties: Knows what this peer owes.
            reader: Of the ledger.
            gateway: Where requests go.
            workers: Compute dealings, shares and partials.
        """
        self._duties = duties
        self._reader = reader
        self._gateway = gateway
        self._workers = workers
        self._moved = trio.Event()

    @classmethod
    def of(cls, parts: Parts, gateway: Gateway, workers: Workers) -> Self:
        """Return the loop of a peer."""
        duties = BeaconDuties(
            signer=parts.key,
            seed=parts.key.seed,
            cluster_id=parts.genesis.cluster_id,
            curve=parts.verifier.curve,
        )
        return cls(duties=duties, reader=parts.store.reader, gateway=gateway, workers=workers)

    def registration(self) -> bytes:
        """Return the key that shares for this peer are sealed for, with its proof, encoded."""
        return self._duties.registration()

    def note(self, effects: Sequence[Effect]) -> None:
        """Take in what the ledger changed."""
        for effect in effects:
            if isinstance(effect, FraudProven):
                _log.error("a peer is proved to have lied", peer=peer_id_text(effect.peer))
        if any(isinstance(effect, BeaconMoved) for effect in effects):
            self._moved.set()

    async def run(self) -> NoReturn:
        """Have what is owed ordered, until cancelled; what is not in time is looked at again."""
        while True:
            self._moved = trio.Event()
            owed = await self._workers.run(self._owed)
            if not owed:
                await self._moved.wait()
            elif not await self._order(owed):
                await trio.sleep(LOOK_AGAIN_S)

    def _owed(self) -> list[bytes]:
        with self._reader.snapshot() as rows:
            beacon, head = queries.beacon_of(rows), queries.head_of(rows)
        return self._duties.owed(beacon, head.period)

    async def _order(self, owed: Sequence[bytes]) -> bool:
        """Have requests ordered; return whether all of them counted."""
        ordered = await self._gateway.order(owed, timeout_s=ATTEMPT_TIMEOUT_S)
        outcomes = [each.outcome for each in ordered if each is not None]
        for outcome in outcomes:
            if not outcome.is_accepted and outcome.code not in _OTHERS_WERE_SOONER:
                _log.warning("part of a beacon refused", detail=outcome.detail)
        return len(outcomes) == len(owed) and all(each.is_accepted for each in outcomes)
