"""Reports in rows of neighbours say what a map from peer and pin would say."""

from functools import partial

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bftcluster.allocation.roster import Roster
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.state.holder_reports import (
    PINS_PER_ROW,
    forget,
    forget_all,
    holders,
    note,
    reports_of,
    row_key,
)
from bftcluster.ledger.state.records import HolderReport
from bftcluster.ledger.state.state import State
from bftcluster.ledger.wire.requests import HolderStatus, ReportEntry
from tests.unit.ledger.world import PEERS, World, cid_of, peer_id

IDS = [peer_id(peer) for peer in PEERS[:4]]
NUMBERS = st.integers(0, 3 * PINS_PER_ROW)
LINES = st.lists(st.tuples(NUMBERS, st.sampled_from(HolderStatus), st.sampled_from(["", "full"])))


class Holdings(RuleBasedStateMachine):
    """Rows beside a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.state = State(self.world.store, Roster())
        self.model: dict[tuple[bytes, int], HolderReport] = {}
        self.now_ms = 0

    @rule(peer=st.sampled_from(IDS), lines=LINES)
    def report(self, peer: bytes, lines: list[tuple[int, HolderStatus, str]]) -> None:
        self.now_ms += 1
        entries = [(n, ReportEntry(cid_of(n), status, error)) for n, status, error in lines]
        note(self.state, peer, entries, self.now_ms)
        for number, status, error in lines:
            self.model[peer, number] = HolderReport(
                peer=peer, status=status, reported_ms=self.now_ms, error=error
            )

    @rule(number=NUMBERS, peers=st.sets(st.sampled_from(IDS)))
    def drop(self, number: int, peers: set[bytes]) -> None:
        forget(self.state, number, peers)
        for peer in peers:
            self.model.pop((peer, number), None)

    @rule(peer=st.sampled_from(IDS), rows_max=st.integers(1, 3))
    def remove(self, peer: bytes, rows_max: int) -> None:
        while not forget_all(self.state, peer, rows_max):
            pass
        self.model = {key: said for key, said in self.model.items() if key[0] != peer}

    @rule()
    def flush(self) -> None:
        self.world.store.flush(self.state.take_delta())

    @invariant()
    def both_say_the_same(self) -> None:
        get = partial(self.state.get, Space.DUTY)
        for number in {number for _, number in self.model} | {0}:
            expected = [self.model[p, number] for p in sorted(IDS) if (p, number) in self.model]
            assert list(reports_of(number, IDS, get)) == expected
            pinned = [each.peer for each in expected if each.status is HolderStatus.PINNED]
            assert list(holders(self.state, number)) == pinned

    @invariant()
    def no_row_says_nothing(self) -> None:
        keys = [key for key, _ in self.state.after(Space.DUTY, b"", 100)]
        assert keys == sorted({row_key(peer, number) for peer, number in self.model})


TestHoldings = Holdings.TestCase
