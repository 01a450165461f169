"""Answers audits from this peer's own blocks and, where it votes, reads those of suspects.

To a suspect a voter is one who reads a block, as anybody may. What is owed follows from the ledger,
so a restart only looks again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn, Self

import trio

from bftcluster.blocks.dag.audit_walk import first_of_path, next_of_path, path_digest
from bftcluster.blocks.exchange.exchange import Exchange
from bftcluster.blocks.formats.block import key_of, raw_cid
from bftcluster.blocks.port import BlockSource
from bftcluster.cid import text
from bftcluster.errors import BlockNotFoundError, CidMismatchError, ClusterError
from bftcluster.ids import PeerId
from bftcluster.ledger.rules.audits.windows import patience_ms
from bftcluster.ledger.rules.effects import AuditMoved, Effect
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.audit_rows import Challenge
from bftcluster.ledger.wire.audit_requests import AnswerHash
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.membership import Membership
from bftcluster.node.ingress.gateway import Gateway
from bftcluster.node.parts import Parts
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.threads import Workers
from bftcluster.shell_limits import AUDIT_PATH_TIME_MAX_S, AUDIT_READS_MAX
from bftcluster.storage.ledger_reader import LedgerReader
from bftcluster.sync.audit_duties import AuditDuties, Sight

ATTEMPT_TIMEOUT_S: Final = 15.0
LOOK_AGAIN_S: Final = 2.0
"""After something was not ordered in time, or a suspect sent nothing."""

_log = log_for("node")


class _Moved:
    """The audits in which something may be owed."""

    def __init__(self) -> None:
        self.numbers: set[int] = set()
        self._event = trio.Event()

    def add(self, numbers: set[int]) -> None:
        self.numbers |= numbers
        self._event.set()

    def begin(self) -> set[int]:
        """Return them, and notice what moves from now on: again, too, while these are looked at."""
        self._event = trio.Event()
        numbers, self.numbers = self.numbers, set()
        return numbers

    async def wait(self) -> None:
        """Return when something moves, or after a while if something is left to do."""
        with trio.move_on_after(LOOK_AGAIN_S if self.numbers else float("inf")):
            await self._event.wait()


@dataclass(slots=True)
class _Tries:
    """Our tries to read one path from one suspect."""

    since_s: float
    """When we first heard that it is to be read."""
    last_s: float = float("-inf")
    """When the last one ended."""


class AuditLoop:
    """Does what this peer owes to audits, until cancelled."""

    def __init__(
        self,
        *,
        duties: AuditDuties,
        genesis: Genesis,
        voters: Callable[[], Membership],
        reader: LedgerReader,
        gateway: Gateway,
        blocks: BlockSource,
        exchange: Exchange,
        workers: Workers,
        relays_of: Callable[[PeerId], Sequence[PeerId]] = lambda _: (),
    ) -> None:
        """Prepare.

        Args:
            duties: Knows what this peer owes.
            genesis: Says how long phases last.
            voters: Returns who votes.
            reader: Of the ledger.
            gateway: Where requests go.
            blocks: Our own.
            exchange: Reads those of others.
            workers: Read rows and blocks.
            relays_of: Returns whom to ask for the blocks of a peer that nobody dials and that has
                no link to us; nobody for any other, which is asked itself.
        """
        self._duties = duties
        self._patience_s = patience_ms(genesis) / 1000
        self._voters = voters
        self._reader = reader
        self._gateway = gateway
        self._blocks = blocks
        self._exchange = exchange
        self._workers = workers
        self._relays_of = relays_of
        self._to_answer, self._to_see = _Moved(), _Moved()
        self._tries: dict[tuple[int, int, int], _Tries] = {}
        """By audit, how often its suspect was asked, and place."""
        self._looked_at: set[PeerId] = set()
        """Suspects that we read from, or of whom we have ordered what we saw."""
        self._reads = 0
        """Under way."""

    @classmethod
    def of(
        cls,
        parts: Parts,
        gateway: Gateway,
        exchange: Exchange,
        workers: Workers,
        relays_of: Callable[[PeerId], Sequence[PeerId]],
    ) -> Self:
        """Return the loop of a peer."""
        return cls(
            duties=AuditDuties(
                signer=parts.key, seed=parts.key.seed, cluster_id=parts.genesis.cluster_id
            ),
            genesis=parts.genesis,
            voters=lambda: parts.replica.membership,
            reader=parts.store.reader,
            gateway=gateway,
            blocks=parts.blocks,
            exchange=exchange,
            workers=workers,
            relays_of=relays_of,
        )

    def note(self, effects: Sequence[Effect]) -> None:
        """Take in what the ledger changed."""
        moved = {each.number for each in effects if isinstance(each, AuditMoved)}
        if moved:
            self._to_answer.add(moved)
            self._to_see.add(moved)

    async def run(self) -> None:
        """Answer, and look at suspects: apart, since who does not answer makes us wait."""
        numbers = await self._workers.run(self._open)
        self._to_answer.add(numbers)
        self._to_see.add(numbers)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._answer)
            nursery.start_soon(self._see)

    def _open(self) -> set[int]:
        with self._reader.snapshot() as rows:
            return {each.number for each in queries.open_audits(rows)}

    def _challenges(self, numbers: set[int]) -> list[Challenge]:
        with self._reader.snapshot() as rows:
            found = [queries.challenge_of(rows, number) for number in sorted(numbers)]
        return [each for each in found if each is not None]

    async def _answer(self) -> NoReturn:
        while True:
            moved = self._to_answer
            challenges = await self._workers.run(self._challenges, moved.begin())
            asked = [each for each in challenges if self._duties.is_asked(each)]
            moved.numbers |= {each.number for each in asked}
            found = [
                (each, await self._workers.run(digest_to_answer, self._blocks, each))
                for each in asked
            ]
            answered = [(each, digest) for each, digest in found if digest is not None]
            await self._order(self._duties.answers(answered))
            await moved.wait()

    async def _see(self) -> NoReturn:
        """Begin what may begin whenever something moves or a read has ended: none waits for all."""
        async with trio.open_nursery() as nursery:
            while True:
                moved = self._to_see
                challenges = await self._workers.run(self._challenges, moved.begin())
                voters = self._voters()
                sights = [s for each in challenges for s in self._duties.sights(each, voters)]
                moved.numbers |= {sight.challenge.number for sight in sights}
                for sight in self._next(sights):
                    self._looked_at.add(sight.suspect.peer)
                    self._reads += 1
                    nursery.start_soon(self._attest, sight, self._tries[_asked(sight)])
                await moved.wait()

    def _next(self, sights: Sequence[Sight]) -> list[Sight]:
        """Return what to read now: of each suspect one path, those first that waited longest."""
        now_s = trio.current_time()
        self._tries = {
            _asked(sight): self._tries.get(_asked(sight)) or _Tries(now_s) for sight in sights
        }
        chosen: dict[PeerId, Sight] = {}
        for sight in sorted(
            sights, key=lambda each: (self._tries[_asked(each)].last_s, _asked(each))
        ):
            suspect, tries = sight.suspect.peer, self._tries[_asked(sight)]
            is_free = suspect not in self._looked_at and len(chosen) + self._reads < AUDIT_READS_MAX
            if is_free and now_s - tries.last_s >= LOOK_AGAIN_S:
                chosen.setdefault(suspect, sight)
        return list(chosen.values())

    async def _attest(self, sight: Sight, tries: _Tries) -> None:
        """Read from a suspect, and say what came; that nothing did, only after some tries."""
        try:
            digest = b""
            with trio.move_on_after(min(AUDIT_PATH_TIME_MAX_S, self._patience_s / 2)):
                digest = await self._read(sight)
        finally:
            tries.last_s = trio.current_time()
            self._reads -= 1
            self._to_see.add(set())
        is_over = tries.last_s - tries.since_s >= self._patience_s
        if digest or is_over:
            await self._order(self._duties.attestations([(sight, digest)]))
        self._looked_at.discard(sight.suspect.peer)
        self._to_see.add(set())

    async def _read(self, sight: Sight) -> bytes:
        """Return the digest over the blocks that a suspect sends; empty if it does not."""
        challenge, suspect = sight.challenge, sight.suspect.peer
        relays = self._relays_of(suspect)
        providers, holder = (relays, suspect) if relays else ([suspect], None)
        answer, depth = AnswerHash(challenge.seed), 0
        cid = first_of_path(challenge.cid, challenge.seed)
        while cid is not None:
            try:
                raw = raw_cid(key_of(cid))
                data = await self._exchange.fetch_block(raw, providers, holder=holder)
            except BlockNotFoundError:
                return b""
            answer.update(data)
            depth += 1
            cid = next_of_path(cid, data, challenge.seed, depth)
        return answer.digest()

    async def _order(self, requests: Sequence[bytes]) -> None:
        """Have requests ordered; what is not in time is looked at again."""
        if requests:
            await self._gateway.order(requests, timeout_s=ATTEMPT_TIMEOUT_S)


def digest_to_answer(blocks: BlockSource, challenge: Challenge) -> bytes | None:
    """Return what there is to answer; empty if it is not here, None if we cannot tell now."""
    try:
        return path_digest(blocks, challenge.cid, challenge.seed)
    except (BlockNotFoundError, CidMismatchError) as exc:
        _log.error("an audit found blocks missing", cid=text(challenge.cid), reason=str(exc))
        return b""
    except ClusterError as exc:
        _log.warning("blocks cannot be read for an audit", reason=str(exc))
        return None


def _asked(sight: Sight) -> tuple[int, int, int]:
    return sight.challenge.number, sight.challenge.asked_times, sight.place
