"""The index from peers to pins says what a map would say, whatever comes, goes and changes."""

from dataclasses import replace
from functools import partial

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bftcluster.allocation.roster import Roster
from bftcluster.ids import Digest, PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.placement import place, take_away
from bftcluster.ledger.state import duties, holder_reports, queries
from bftcluster.ledger.state.duties import DUTIES_PER_ROW
from bftcluster.ledger.state.records import HolderReport, PinRecord, pin_record
from bftcluster.ledger.state.state import State
from bftcluster.ledger.wire.block_tree import PinContents
from bftcluster.ledger.wire.operations import EVERYWHERE
from bftcluster.ledger.wire.requests import HolderStatus, ReportEntry
from bftcluster_sim.cluster.environment.duty_index import breaches_of
from tests.unit.ledger.world import PEERS, World, cid_of, peer_id

IDS = sorted(peer_id(peer) for peer in PEERS[:4])
NUMBERS = st.integers(0, 11)
HOLDERS = st.sets(st.sampled_from(IDS), max_size=3)
"""Nobody is everybody."""
SIZES = st.sampled_from([0, 1, 1000])
LINES = st.lists(st.tuples(NUMBERS, st.sampled_from(HolderStatus), st.sampled_from(["", "full"])))
CROWD = range(100, 100 + DUTIES_PER_ROW - 2)
"""One peer's pins that nobody changes: others are at the end of its first row, and behind it."""


class Duties(RuleBasedStateMachine):
    """Rows beside dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.pin(cid_of("template"))
        template = self.world.record(cid_of("template"))
        assert template is not None
        self.template = template
        self.state = State(self.world.store, Roster())
        self.model: dict[int, tuple[PeerId, ...]] = {}
        self.said: dict[tuple[int, PeerId], HolderReport] = {}
        self.now_ms = 0
        for number in CROWD:
            self.pin(number, {IDS[0]}, 0)

    @rule(number=NUMBERS, holders=HOLDERS, size_bytes=SIZES)
    def pin(self, number: int, holders: set[PeerId], size_bytes: int) -> None:
        contents = PinContents(size_bytes=size_bytes, blocks=1, root=Digest(bytes(32)))
        options = replace(
            self.template.options,
            cid=cid_of(number),
            contents=contents if size_bytes else None,
            replication_min=len(holders) or EVERYWHERE,
            replication_max=len(holders) or EVERYWHERE,
        )
        allocations = tuple(sorted(holders))
        record = replace(
            self.template,
            number=number,
            options=options,
            replication_min=options.replication_min,
            replication_max=options.replication_max,
            allocations=allocations,
            slots=(),
        )
        place(self.state, record, self.record(number))
        self.model[number] = allocations
        for peer in IDS:
            if allocations and peer not in allocations:
                self.said.pop((number, peer), None)

    @rule(number=NUMBERS)
    def unpin(self, number: int) -> None:
        record = self.record(number)
        if record is not None:
            take_away(self.state, record)
            del self.model[number]
            for peer in IDS:
                self.said.pop((number, peer), None)

    @rule(peer=st.sampled_from(IDS), lines=LINES)
    def report(self, peer: PeerId, lines: list[tuple[int, HolderStatus, str]]) -> None:
        self.now_ms += 1
        own, everybodys = [], []
        for number, status, error in lines:
            record = self.record(number)
            if record is None or not record.is_owed_by(peer):
                continue
            entry = ReportEntry(cid_of(number), status, error)
            if record.is_everywhere:
                everybodys.append((number, entry))
            else:
                own.append((record.slots[record.allocations.index(peer)], entry))
            self.said[number, peer] = HolderReport(
                peer=peer, status=status, reported_ms=self.now_ms, error=error
            )
        duties.note(self.state, peer, own, self.now_ms)
        holder_reports.note(self.state, peer, everybodys, self.now_ms)

    @rule(absent=st.sets(st.sampled_from(IDS), max_size=2))
    def fall_silent(self, absent: set[PeerId]) -> None:
        """Whoever is absent, what waits is written down with the pins that change."""
        for peer in IDS:
            self.state.set_absent(peer, is_absent=peer in absent)

    def record(self, number: int) -> PinRecord | None:
        value = self.state.get(Space.PIN, cid_of(number))
        return None if value is None else pin_record(value)

    def flush(self) -> None:
        self.world.store.flush(self.state.take_delta())

    @invariant()
    def rows_belie_nothing(self) -> None:
        self.flush()
        assert breaches_of(self.world.store) == []
        waiting = queries.repairs_behind(self.world.store, b"", 1000)
        assert len(waiting) == self.state.repair.waiting

    @invariant()
    def reports_stay_with_their_pins(self) -> None:
        self.flush()
        cids = {cid_of(number): number for number in self.model}
        pins = queries.pins_of(self.world.store, list(cids), of=IDS)
        for cid, number in cids.items():
            expected = [self.said[number, p] for p in IDS if (number, p) in self.said]
            assert list(pins[cid].reports) == expected
            assert pins[cid].allocations == self.model[number]

    @invariant()
    def heads_and_rows_are_all_there_is(self) -> None:
        keys = {key for key, _ in self.state.after(Space.DUTY, b"", 1000)}
        get = partial(self.state.get, Space.DUTY)
        for peer in IDS:
            count = duties.read_head(get(peer)).count
            rows = range(0, count, DUTIES_PER_ROW)
            expected = {duties.duty_key(peer, slot) for slot in rows}
            expected |= {peer} if get(peer) is not None else set()
            own = {key for key in keys if key.startswith(peer) and not key[32:33] >= b"\x80"}
            assert own == expected


Duties.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestDuties = Duties.TestCase
