"""What must hold of any state: what peers are to hold, and what waits, is what the pins say."""

from collections import defaultdict
from dataclasses import dataclass, field

from bftcluster.cid import text
from bftcluster.ids import PeerId
from bftcluster.ledger.rows.store import ManyRowsPort
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.state.repairs import WaitingPin
from bftcluster.ledger.wire.operations import EVERYWHERE

_PAGE_ROWS = 1000


@dataclass(slots=True)
class DutyIndex:
    """S12: what each peer is to hold is what the pins say, and so is what waits for repair."""

    breaches: list[str] = field(default_factory=list)

    def on_end(self, peer: int, store: ManyRowsPort) -> None:
        """Compare the rows of ``peer`` with each other."""
        self.breaches += [f"S12 duties: {peer}: {breach}" for breach in breaches_of(store)]


def breaches_of(store: ManyRowsPort) -> list[str]:
    """Return in what the index from peers to pins, or the queue of repairs, belies the pins."""
    pins = _pins(store)
    found = [
        f"{text(pin.cid)} is to be held by nobody in particular"
        for pin in pins
        if pin.is_everywhere != (pin.replication_max == EVERYWHERE)
    ]
    expected: dict[PeerId, dict[int, PinRecord]] = defaultdict(dict)
    for pin in pins:
        for peer, slot in zip(pin.allocations, pin.slots, strict=True):
            if slot in expected[peer]:
                found.append(f"slot {slot} of {peer.hex()[:8]} is of two pins")
            expected[peer][slot] = pin
    for peer in sorted(expected.keys() | set(queries.peer_ids(store))):
        found += _breaches_at(store, peer, expected[peer])
    waiting = [(pin.place + 1, pin.number, pin.cid) for _, pin in _waiting(store)]
    queued = sorted((pin.queued_as, pin.number, pin.cid) for pin in pins if pin.queued_as)
    if waiting != queued:
        found.append(f"{len(waiting)} pins wait for repair, of {len(queued)} that say so")
    return found


def _breaches_at(store: ManyRowsPort, peer: PeerId, pins: dict[int, PinRecord]) -> list[str]:
    duties = queries.duties_of(store, peer)
    head = queries.duty_head_of(store, peer)
    said = [(slot, pins[slot].number, pins[slot].cid) for slot in sorted(pins)]
    if said != [(slot, duty.number, duty.cid) for slot, duty in enumerate(duties)]:
        return [f"{peer.hex()[:8]} has {len(duties)} duties, which are not its {len(pins)} pins"]
    if (head.count, head.size_bytes) != (len(duties), sum(duty.size_bytes for duty in duties)):
        return [f"the head of {peer.hex()[:8]} is of other duties"]
    return []


def _pins(store: ManyRowsPort) -> list[PinRecord]:
    pins: list[PinRecord] = []
    while page := queries.pins_behind(store, pins[-1].cid if pins else b"", _PAGE_ROWS):
        pins += page
    return pins


def _waiting(store: ManyRowsPort) -> list[tuple[bytes, WaitingPin]]:
    waiting: list[tuple[bytes, WaitingPin]] = []
    while page := queries.repairs_behind(store, waiting[-1][0] if waiting else b"", _PAGE_ROWS):
        waiting += page
    return waiting
