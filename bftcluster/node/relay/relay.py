"""Serves light peers: shows them proofs, tells them of duties, hands in what they sign.

They trust it for nothing, and it trusts them for as little: each has a share of everything, and
what it hands in is its own word, signed, or goes nowhere.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final, NoReturn, assert_never

import trio

from bftcluster.blocks.exchange.exchange import Exchange
from bftcluster.errors import ClusterError, MalformedMessageError
from bftcluster.ids import PeerId
from bftcluster.ledger.rules.effects import Effect
from bftcluster.ledger.state import queries
from bftcluster.ledger.wire.audit_requests import Answer, Pledge
from bftcluster.ledger.wire.loan_requests import Leave
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.ledger.wire.requests import Join, ReportPinned
from bftcluster.limits import HANDED_IN_EVERY_MS
from bftcluster.log_pace import LogPace
from bftcluster.net.network import Network
from bftcluster.net.streams import StreamClass
from bftcluster.node.ingress.gateway import Gateway
from bftcluster.node.ingress.peer_reports import ATTEMPT_TIMEOUT_S
from bftcluster.node.loops.departure import is_held_by_others
from bftcluster.node.loops.peer_directory import PeerDirectory
from bftcluster.node.loops.state_server import StateServer
from bftcluster.node.parts import Parts
from bftcluster.node.process.config import Config
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.threads import Workers
from bftcluster.node.reads import LedgerReads
from bftcluster.node.relay.audit_hints import AuditHints
from bftcluster.node.relay.duty_hints import DutyHints
from bftcluster.node.relay.relay_blocks import RELAY_TAG, RelayedBlocks
from bftcluster.pbft import CheckpointCertificate
from bftcluster.pins.pace import Pace
from bftcluster.shell_limits import HANDED_IN_MAX, HANDED_IN_PER_PEER_MAX
from bftcluster.storage.ledger_reader import LedgerReader
from bftcluster.sync.audit_duties import gathered_ms
from bftcluster.sync.frames import (
    FetchHints,
    HandedIn,
    HandIn,
    Receiver,
    parse_sync_frame,
    receiver_of,
)

_log = log_for("relay")

_OWN_WORD = (Join, ReportPinned, Leave, Pledge, Answer)
"""What a light peer may have ordered, if it is about itself."""


_THREADS: Final = 2
REFUSED_PAUSE_S: Final = 1.0
"""What was handed in and is refused keeps its place for so long: looking at it costs signatures."""


class Relay:
    """Takes the frames of light peers."""

    def __init__(
        self,
        *,
        reads: LedgerReads,
        reader: LedgerReader,
        gateway: Gateway,
        guests: Callable[[], Collection[PeerId]],
        stable: Callable[[], CheckpointCertificate | None],
        send: Callable[[PeerId, bytes], object],
        rate_max_bytes_per_s: int,
        workers: Workers,
        gathered_ms: int = HANDED_IN_EVERY_MS,
    ) -> None:
        """Prepare.

        Args:
            reads: Of the ledger.
            reader: Of the ledger, for proofs.
            gateway: Where requests go.
            guests: Returns the light peers that are connected.
            stable: Returns our last stable checkpoint.
            send: Sends a frame.
            rate_max_bytes_per_s: Of proofs for all light peers together.
            workers: Read the ledger, and judge signatures.
            gathered_ms: How long it gathers what is handed in.
        """
        self._gateway = gateway
        self._reader = reader
        self._send = send
        self._workers = workers
        self._leaving = Workers(1)
        """Looks what guests that leave hold: nobody else waits for that."""
        self._hints = DutyHints(
            reads=reads, reader=reader, guests=guests, stable=stable, send=send, workers=workers
        )
        self._audits = AuditHints(reader=reader, guests=guests, send=send, workers=workers)
        self._proofs = StateServer(
            reader=reader,
            send=send,
            stable=stable,
            keep_earlier=lambda _: None,
            rate_max_bytes_per_s=rate_max_bytes_per_s,
            workers=workers,
        )
        self._handed: Counter[PeerId] = Counter()
        """Requests under way, by who handed them in."""
        self._nursery: trio.Nursery | None = None
        self._bundles = Pace(gathered_ms)
        self._pace = LogPace()

    @classmethod
    def of(
        cls,
        parts: Parts,
        reads: LedgerReads,
        gateway: Gateway,
        network: Network,
        exchange: Exchange,
        stable: Callable[[], CheckpointCertificate | None],
        peer_directory: PeerDirectory,
    ) -> "Relay":
        """Return the relay of a peer, on threads of its own: nothing of ours waits for it."""
        if parts.config.network.relay:
            blocks = RelayedBlocks(
                store=parts.blocks,
                fetch_block=exchange.fetch_block,
                pin=reads.pin,
                guests=lambda: network.guests,
                connected=lambda: network.connected,
                records=lambda: peer_directory.records,
            )
            exchange.serve_elsewhere(blocks.source_for)
        return cls(
            reads=reads,
            reader=parts.store.reader,
            gateway=gateway,
            guests=lambda: network.guests,
            stable=stable,
            send=partial(_send, network),
            rate_max_bytes_per_s=parts.config.state_rate_bytes_per_s,
            workers=Workers(_THREADS),
            gathered_ms=gathered_ms(parts.genesis),
        )

    def note(self, effects: Sequence[Effect]) -> None:
        """Take in what batches led to."""
        self._hints.note(effects)
        self._audits.note(effects)

    def on_frame(self, peer: PeerId, frame: bytes) -> None:
        """Take a frame of a light peer."""
        match receiver_of(frame):
            case Receiver.STATE_SERVER:
                self._proofs.on_frame(peer, frame)
            case Receiver.RELAY:
                self._on_request(peer, frame)
            case (
                Receiver.REPLICA
                | Receiver.STATE_TRANSFER
                | Receiver.EPOCH_SYNC
                | Receiver.LIGHT_PEER
            ):
                self._tell(peer, "it says what light peers do not say")
            case _ as unreachable:
                assert_never(unreachable)

    async def run(self) -> NoReturn:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                nursery.start_soon(self._hints.run)
                nursery.start_soon(self._audits.run)
                await self._proofs.run()
            finally:
                self._nursery = None

    def _on_request(self, peer: PeerId, frame: bytes) -> None:
        try:
            message = parse_sync_frame(frame)
        except MalformedMessageError as exc:
            self._tell(peer, str(exc))
            return
        if isinstance(message, FetchHints):
            self._hints.ask(peer, message.slot)
            self._audits.ask(peer)
        elif isinstance(message, HandIn) and self._nursery is not None:
            is_over = self._handed.total() >= HANDED_IN_MAX
            if is_over or self._handed[peer] >= HANDED_IN_PER_PEER_MAX:
                return  # it will be handed in again
            self._handed[peer] += 1
            self._nursery.start_soon(partial(self._order, peer, message))

    async def _order(self, peer: PeerId, handed: HandIn) -> None:
        """Have a request ordered, and say what became of it; nothing, if that is not known yet."""
        try:
            code = await self._outcome(peer, handed.request)
            if code is not None:
                self._send(peer, HandedIn(number=handed.number, code=int(code)).frame())
                if code >= OutcomeCode.MALFORMED:
                    await trio.sleep(REFUSED_PAUSE_S)
        except ClusterError as exc:
            self._tell(peer, str(exc))
        finally:
            self._handed[peer] -= 1
            if not self._handed[peer]:
                del self._handed[peer]

    async def _outcome(self, peer: PeerId, request: bytes) -> OutcomeCode | None:
        said = self._gateway.inspect(request).request
        if not isinstance(said, _OWN_WORD) or said.peer != peer:
            self._tell(peer, "it hands in what is not its own word")
            return OutcomeCode.MALFORMED
        problem = await self._workers.run(self._gateway.client_problem, request)
        if problem:
            self._tell(peer, problem)
            return OutcomeCode.BAD_SIGNATURE
        is_going = isinstance(said, Leave) and said.is_final
        if is_going and await self._leaving.run(self._is_counted_on, peer):
            return OutcomeCode.NOT_YET_VALID
        if not isinstance(said, Leave):  # Somebody waits for that.
            await self._wait_for_others()
        [ordered] = await self._gateway.order([request], timeout_s=ATTEMPT_TIMEOUT_S)
        return None if ordered is None else ordered.outcome.code

    async def _wait_for_others(self) -> None:
        """Wait until what was handed in is submitted: at once after a pause, and then together."""
        await trio.sleep(self._bundles.pause_ms(_now_ms()) / 1000)
        if not self._bundles.pause_ms(_now_ms()):
            self._bundles.begin(_now_ms())

    def _is_counted_on(self, peer: PeerId) -> bool:
        """Return whether a peer may not go yet: too few others hold what it holds, or we lag.

        Before its first word is executed here, pins of it may be unknown here, too.
        """
        with self._reader.snapshot() as rows:
            record = queries.peer_of(rows, peer)
            if record is None:
                return False
            return not record.goes_ms or not is_held_by_others(rows, peer)

    def _tell(self, peer: PeerId, detail: str) -> None:
        left_out = self._pace.left_out(peer, trio.current_time())
        if left_out is not None:
            _log.info("suspicion", peer=peer.hex()[:8], detail=detail, left_out=left_out)


def tags_of(config: Config) -> Mapping[str, str]:
    """Return what a peer says of itself: what its operator says, and that it is a relay."""
    return config.peer.tags | (dict([RELAY_TAG]) if config.network.relay else {})


def _now_ms() -> int:
    return int(trio.current_time() * 1000)


def _send(network: Network, peer: PeerId, frame: bytes) -> None:
    network.send_nowait(peer, StreamClass.SYNC, frame)
