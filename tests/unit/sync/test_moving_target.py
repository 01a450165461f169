"""Checkpoints do not wait for a transfer; it ends all the same, and asks little more than once."""

import pytest

from bftcluster.ids import Digest, PeerId, Seq
from bftcluster.ledger.rows.spaces import STATE_SPACES, Key, Space
from bftcluster.ledger.rows.tree import StateTree
from bftcluster.ledger.rows.tree_history import kept_from
from bftcluster.limits import EARLIER_CHECKPOINTS_MAX
from bftcluster.pbft.verdicts import Verdict
from bftcluster.sync.frames import FetchState
from bftcluster.sync.state_parts import answer
from tests.unit.sync.transfer_world import Fetcher, Server, peer, pins

A, B, C = peer(1), peer(2), peer(3)
PINS = 5_000
CHANGED = 20


def move_on(server: Server, turn: int) -> None:
    """Make the next checkpoint: some rows change, some come and some go."""
    changed = {(Space.PIN, b"cid %d" % (n * 97 % PINS)): b"%d" % turn for n in range(CHANGED)}
    server.put(changed | {(Space.PIN, b"new %d" % turn): b"new"})
    server.put({(Space.PIN, b"new %d" % (turn - 2)): None})
    server.checkpoint()


def fetched(server: Server, root: Digest) -> object:
    """Return what one gets who asks ``server`` for the state with that root."""
    fetcher = Fetcher()
    fetcher.fetcher.aim(root, [A])
    fetcher.finish({A: server})
    return fetcher.staged()


def busy() -> Server:
    server = Server(pins(PINS))
    server.tree.keeps_earlier = True
    return server


class Chase:
    """A fetcher that aims anew only when nobody gives it what it aims at."""

    def __init__(self, server: Server, sources: list[PeerId]) -> None:
        self.server = server
        self.fetcher = Fetcher()
        self.sources = sources
        self.moves = 0
        self.states: dict[bytes, dict[Key, bytes]] = {}

    def run(self, *, steps_per_checkpoint: int, steps_max: int) -> dict[Key, bytes]:
        """Fetch while the target moves; return the state that it ended with."""
        for step in range(steps_max):
            if step % steps_per_checkpoint == 0:
                self.moves += 1
                move_on(self.server, self.moves)
                self.states[self.server.root] = self.server.state()
            if not self.fetcher.fetcher.is_served(self.fetcher.now_ms):
                self.fetcher.fetcher.aim(self.server.root, self.sources)
                aim = self.server.root
            if self.fetcher.fetcher.is_complete:
                return self.states[aim]
            self.fetcher.step(dict.fromkeys(self.sources, self.server))
        raise AssertionError("the transfer does not end")

    @property
    def given(self) -> tuple[int, int]:
        """How many nodes and rows the sources sent."""
        given = self.fetcher.given
        return sum(len(parts.nodes) for parts in given), sum(len(parts.rows) for parts in given)


@pytest.mark.parametrize("sources", [[A], [A, B, C]])
@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_it_ends_however_fast_checkpoints_follow(steps: int, sources: list[PeerId]) -> None:
    chase = Chase(busy(), sources)

    state = chase.run(steps_per_checkpoint=steps, steps_max=400)

    assert chase.fetcher.staged() == state
    nodes, rows = chase.given
    stored = sum(space is Space.TREE for space, _ in state)
    assert rows <= len(pins(PINS)) + (CHANGED + 2) * chase.moves
    assert nodes <= stored + 3 * (CHANGED + 2) * chase.moves
    assert not any(verdict.is_fault for _, verdict in chase.fetcher.verdicts)


def test_a_few_checkpoints_are_served_and_no_more() -> None:
    server = busy()
    roots, states = [], []
    for turn in range(EARLIER_CHECKPOINTS_MAX + 3):
        move_on(server, turn)
        roots.append(server.root)
        states.append(server.state())

    for root, state in list(zip(roots, states, strict=True))[-EARLIER_CHECKPOINTS_MAX - 1 :]:
        assert fetched(server, root) == state
    fetch = FetchState(number=1, root=roots[1], nodes=("",), rows=())
    assert answer(server.store, fetch).root == server.root
    assert answer(server.store, fetch).nodes == ()


@pytest.mark.parametrize(("count", "left"), [(600, 0), (600, 40), (600, 500), (40, 31)])
def test_a_state_that_shrank_or_grew_since_is_given_as_it_was(count: int, left: int) -> None:
    server = Server(pins(count))
    server.tree.keeps_earlier = True
    wanted, state = server.root, server.state()
    server.put(dict.fromkeys(pins(count - left, first=left)))
    server.checkpoint()
    server.put(pins(count, b"other"))
    server.checkpoint()

    assert fetched(server, wanted) == state


def test_what_a_checkpoint_held_outlives_a_restart() -> None:
    server = busy()
    wanted, state = server.root, server.state()
    move_on(server, 1)
    server.put({(Space.PIN, b"cid 5"): b"changed since"})
    server.tree = StateTree(server.store)
    server.tree.keeps_earlier = True
    move_on(server, 2)

    assert fetched(server, wanted) == state


def test_checkpoints_that_come_in_one_go_are_kept_apart() -> None:
    """The executor takes several batches at once, and flushes once."""
    server = busy()
    tree, roots, states = server.tree, [], []
    rows: dict[Key, bytes | None] = {}
    for turn in range(3):
        changed = {(Space.PIN, b"cid %d" % n): b"%d %d" % (turn, n) for n in range(turn, 90)}
        before = dict(rows)
        tree.absorb(
            [(Space.PIN, {key: value for (_, key), value in changed.items()})],
            lambda s, k, before=before: before.get((s, k)) or server.store.get(s, k),
        )
        rows |= changed
        roots.append(tree.root())
        states.append(dict(rows))
    server.store.flush({**rows, **tree.take_delta(Seq(9))})

    for root, state in zip(roots, states, strict=True):
        fetcher = Fetcher()
        fetcher.fetcher.aim(root, [A])
        fetcher.finish({A: server})
        staged = fetcher.staged()
        assert {key: staged[key] for key in state} == state


def test_nothing_is_kept_when_nobody_fetches() -> None:
    server = busy()
    move_on(server, 1)
    move_on(server, 2)
    assert server.store.iterate(Space.EARLIER, b"", 9) != []
    server.tree = StateTree(server.store)

    move_on(server, 3)

    assert server.store.iterate(Space.EARLIER, b"", 9) == []
    assert kept_from(server.root, server.store.get) == ()
    spaces = {space for space, _ in server.store.rows()}
    assert spaces <= {*STATE_SPACES, Space.TREE, Space.BEFORE}


def test_sources_that_moved_on_are_given_up_for_a_newer_target() -> None:
    server = Server(pins(300))
    fetcher = Fetcher()
    fetcher.fetcher.aim(server.root, [A, B])
    assert fetcher.fetcher.is_served(0)
    move_on(server, 1)

    fetcher.step({A: server, B: server})
    assert fetcher.fetcher.is_served(fetcher.now_ms)
    fetcher.step({A: server, B: server})

    assert {verdict for _, verdict in fetcher.verdicts} == {Verdict.LATE}
    assert not fetcher.fetcher.is_served(fetcher.now_ms)
    fetcher.fetcher.aim(server.root, [A, B])
    assert fetcher.fetcher.is_served(fetcher.now_ms)
