"""Whatever states lie between, whoever crashes: what is whole is exactly what was certified."""

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bftcluster.ids import PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.sync.frames import FetchState, StateParts
from bftcluster.sync.state_parts import answer
from tests.unit.sync.transfer_world import Fetcher, Server, peer

KEYS = st.integers(0, 500).map(lambda number: (Space.PIN, b"%d" % number))
CHANGES = st.dictionaries(KEYS, st.none() | st.binary(max_size=3), max_size=60)
RANGES = st.tuples(st.integers(0, 500), st.integers(1, 500))
HONEST, LIAR = peer(1), peer(2)


class Transfers(RuleBasedStateMachine):
    """One source that moves on, one that damages answers, and a fetcher that crashes."""

    @initialize(ours=CHANGES, count=st.integers(0, 500))
    def begin(self, ours: dict, count: int) -> None:
        self.server = Server({(Space.PIN, b"%d" % number): b"v" for number in range(count)})
        self.fetcher = Fetcher(Server({key: v for key, v in ours.items() if v is not None}))
        self.server.tree.keeps_earlier = True
        self.aim()

    @rule()
    def aim(self) -> None:
        self.certified = self.server.state_at_root()
        self.fetcher.fetcher.aim(self.server.root, [LIAR, HONEST])
        self.fetcher.stage.flush(self.fetcher.fetcher.take_delta())

    @rule(changes=CHANGES)
    def change(self, changes: dict) -> None:
        self.server.put(changes)

    @rule(first_and_count=RANGES, value=st.none() | st.just(b"w"))
    def change_many(self, first_and_count: tuple[int, int], value: bytes | None) -> None:
        first, count = first_and_count
        numbers = range(first, first + count)
        self.server.put({(Space.PIN, b"%d" % number): value for number in numbers})

    @rule(is_followed=st.booleans())
    def checkpoint(self, is_followed: bool) -> None:
        self.server.checkpoint()
        if is_followed:
            self.aim()

    @rule(keeps=st.booleans())
    def keep_earlier(self, keeps: bool) -> None:
        self.server.tree.keeps_earlier = keeps

    @rule(steps=st.integers(1, 6), data=st.data())
    def step(self, steps: int, data: st.DataObject) -> None:
        def damaged(fetch: FetchState, parts: StateParts) -> StateParts | None:
            kind = data.draw(st.sampled_from(["silent", "short", "bytes", "swapped", "right"]))
            return damage(kind, parts)

        for _ in range(steps):
            self.fetcher.step(self.sources(), {LIAR: damaged})
            self.fetcher.now_ms += 1_000

    @rule()
    def crash(self) -> None:
        self.fetcher.restart()
        self.aim()

    @rule(changes=CHANGES)
    def our_own_state_moves(self, changes: dict) -> None:
        self.fetcher.own.put(changes)
        self.fetcher.own.checkpoint()

    @invariant()
    def whole_is_exactly_the_certified_state(self) -> None:
        if getattr(self, "fetcher", None) is not None and self.fetcher.fetcher.is_complete:
            assert self.fetcher.staged() == self.certified

    @invariant()
    def only_liars_are_named(self) -> None:
        if getattr(self, "fetcher", None) is not None:
            named = {source for source, verdict in self.fetcher.verdicts if verdict.is_fault}
            assert HONEST not in named

    def teardown(self) -> None:
        if getattr(self, "fetcher", None) is not None:
            self.fetcher.now_ms += 1_000_000
            for _ in range(200):
                if self.fetcher.fetcher.is_complete:
                    break
                if not self.fetcher.fetcher.is_served(self.fetcher.now_ms):
                    self.aim()
                self.fetcher.step(self.sources())
            assert self.fetcher.staged() == self.certified

    def sources(self) -> dict[PeerId, Server]:
        return {HONEST: self.server, LIAR: self.server}


TestTransfers = Transfers.TestCase


def damage(kind: str, parts: StateParts) -> StateParts | None:
    match kind:
        case "silent":
            return None
        case "short":
            nodes, rows = parts.nodes[:1], parts.rows[:1]
        case "bytes":
            nodes = tuple(node[:-1] + b"\x07" for node in parts.nodes)
            rows = tuple(row + b"!" for row in parts.rows)
        case "swapped":
            nodes, rows = parts.nodes[::-1], parts.rows[::-1]
        case _:
            nodes, rows = parts.nodes, parts.rows
    return StateParts(number=parts.number, root=parts.root, nodes=nodes, rows=rows)


def test_it_converges_while_the_target_moves() -> None:
    """Each checkpoint comes before the last is fetched; each time less is left to fetch."""
    server = Server({(Space.PIN, b"%d" % number): b"v" for number in range(4_000)})
    fetcher = Fetcher()
    for moved in range(1, 100):
        fetcher.fetcher.aim(server.root, [HONEST])
        for _ in range(6):
            fetcher.step({HONEST: server})
        if fetcher.fetcher.is_complete:
            break
        server.put({(Space.PIN, b"%d" % (number * moved)): b"%d" % moved for number in range(20)})
        server.checkpoint()

    assert moved > 3
    assert fetcher.staged() == server.state()
    assert answer(server.store, fetcher.asked[-1][1]).root == server.root
