"""A state is fetched from peers that need no trust, and survives what happens meanwhile."""

from dataclasses import replace

import pytest

from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.tree_nodes import (
    EMPTY_PAGE,
    is_branch,
)
from bftcluster.limits import STATE_WANTS_MAX
from bftcluster.pbft.verdicts import Verdict
from bftcluster.sync.frames import FetchState, StateParts
from bftcluster.sync.sources import ANSWER_TIMEOUT_MS, LIAR_PAUSE_MS
from bftcluster.sync.state_parts import answer, row_at_root
from tests.unit.sync.transfer_world import Fetcher, Lie, Server, peer, pins

A, B, C = peer(1), peer(2), peer(3)
OTHER = {(Space.META, b"head"): b"head", (Space.PEER, b"p" * 32): b"a peer"}


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 600, 5_000])
def test_an_empty_peer_gets_the_whole_state(count: int) -> None:
    server = Server(pins(count) | OTHER)
    fetcher = Fetcher()

    fetcher.fetch({A: server, B: server})

    assert fetcher.staged() == server.state()
    assert {verdict for _, verdict in fetcher.verdicts} == {Verdict.ACCEPTED}


def test_what_our_own_state_has_is_not_asked_for() -> None:
    server = Server(pins(5_000) | OTHER)
    own = Server(pins(5_000))
    fetcher = Fetcher(own)

    fetcher.fetch({A: server})

    rows = [key for _, request in fetcher.asked for key in request.rows]
    assert sorted(rows) == sorted(OTHER)
    assert sum(len(request.nodes) for _, request in fetcher.asked) < 12
    assert fetcher.staged() == server.state()


def test_our_own_rows_count_as_they_were_at_our_checkpoint() -> None:
    server = Server(pins(300))
    own = Server(pins(300))
    own.put({(Space.PIN, b"cid 7"): b"changed since", (Space.PIN, b"cid 8"): None})
    fetcher = Fetcher(own)

    fetcher.fetch({A: server})

    assert fetcher.asked == []
    assert fetcher.staged() == server.state()


def test_a_source_gives_the_rows_of_its_checkpoint_while_it_moves_on() -> None:
    server = Server(pins(200))
    certified = server.state()
    server.put({(Space.PIN, b"cid 7"): b"once", (Space.PIN, b"cid 8"): None})
    server.put({(Space.PIN, b"cid 7"): b"twice", (Space.PIN, b"cid 8"): b"again"})
    server.put({(Space.PIN, b"new"): b"first", (Space.PIN, b"cid 9"): None})
    fetcher = Fetcher()

    fetcher.fetch({A: server})

    assert fetcher.staged() == certified
    server.checkpoint()
    assert row_at_root(server.store, Space.PIN, b"cid 7") == b"twice"
    assert server.store.iterate(Space.BEFORE, b"", 9) == []


def test_what_rows_were_at_the_checkpoint_outlives_a_restart_of_the_source() -> None:
    server = Server(pins(200))
    certified = server.state()
    server.put({(Space.PIN, b"cid 7"): b"once"})
    server.tree = type(server.tree)(server.store)
    server.put({(Space.PIN, b"cid 7"): b"twice"})
    fetcher = Fetcher()

    fetcher.fetch({A: server})

    assert fetcher.staged() == certified
    server.checkpoint()
    assert server.store.iterate(Space.BEFORE, b"", 9) == []


def test_a_newer_checkpoint_costs_only_what_differs() -> None:
    server = Server(pins(3_000))
    fetcher = Fetcher()
    fetcher.fetch({A: server})
    server.put({(Space.PIN, b"cid 7"): b"other", (Space.PIN, b"cid 8"): None})
    server.checkpoint()
    fetcher.asked.clear()

    fetcher.fetch({A: server})

    assert [key for _, request in fetcher.asked for key in request.rows] == [(Space.PIN, b"cid 7")]
    assert fetcher.staged() == server.state()


def test_what_was_not_staged_yet_is_not_asked_for_again_under_a_new_aim() -> None:
    """Each target is gone after three round trips: before the first row, if one forgot."""
    server = Server(pins(3_000))
    fetcher = Fetcher()
    for number in range(30):
        fetcher.fetcher.aim(server.root, [A])
        for _ in range(3):
            fetcher.step({A: server})
        server.put({(Space.PIN, b"cid %d" % number): b"changed"})
        server.checkpoint()

    assert sum(space is Space.PIN for space, _ in fetcher.staged()) > 2_900
    fetcher.fetch({A: server})
    assert fetcher.staged() == server.state()
    assert sum(len(request.rows) for _, request in fetcher.asked) < 2 * 3_000


@pytest.mark.parametrize("left", [0, 5, 40, 500])
def test_a_state_that_shrinks_or_grows_much_leaves_nothing_behind(left: int) -> None:
    server = Server(pins(2_000))
    fetcher = Fetcher()
    fetcher.fetch({A: server})
    for goal in (left, 2_500):
        server.put(dict.fromkeys(pins(2500)) | pins(goal))
        server.checkpoint()

        fetcher.fetch({A: server})

        assert fetcher.staged() == server.state()


def test_a_restart_goes_on_where_it_was() -> None:
    server = Server(pins(5_000))
    fetcher = Fetcher()
    asked = 0
    for _ in range(500):
        fetcher.fetcher.aim(server.root, [A])
        for _ in range(4):
            fetcher.step({A: server})
        asked += sum(len(request.rows) for _, request in fetcher.asked)
        fetcher.asked.clear()
        if fetcher.fetcher.is_complete:
            break
        fetcher.restart()

    assert fetcher.staged() == server.state()
    assert asked < 2 * 5_000


def test_a_branch_that_was_whole_once_is_not_taken_for_whole_again() -> None:
    """Between two equal states lies another one, of which parts are staged."""
    server = Server(pins(2_000))
    fetcher = Fetcher()
    fetcher.fetch({A: server})
    old = server.state()
    server.put(pins(2_000, b"other"))
    server.checkpoint()
    fetcher.fetcher.aim(server.root, [A])
    for _ in range(6):
        fetcher.step({A: server})
    assert not fetcher.fetcher.is_complete
    server.put(pins(2_000))
    server.checkpoint()

    fetcher.restart()
    fetcher.fetch({A: server})

    assert fetcher.staged() == server.state() == old


def wrong_row(fetch: FetchState, parts: StateParts) -> StateParts:
    return replace(parts, rows=tuple(row + b"x" for row in parts.rows), nodes=parts.nodes)


def wrong_node(fetch: FetchState, parts: StateParts) -> StateParts:
    return replace(parts, nodes=tuple(node[:-2] + b"xx" for node in parts.nodes), rows=())


def nothing(fetch: FetchState, parts: StateParts) -> StateParts:
    return replace(parts, nodes=(), rows=())


def more_than_asked(fetch: FetchState, parts: StateParts) -> StateParts:
    extra = STATE_WANTS_MAX - len(parts.rows)
    return replace(parts, rows=parts.rows + (b"more",) * extra, nodes=(*parts.nodes, EMPTY_PAGE))


def made_up_keys(fetch: FetchState, parts: StateParts) -> StateParts:
    """Pages hash right, but their keys do not lead to the paths."""
    nodes = []
    for node in parts.nodes:
        if is_branch(node):
            nodes.append(node)
        else:
            nodes.append(node.replace(b"cid", b"dic"))
    return replace(parts, nodes=tuple(nodes), rows=())


@pytest.mark.parametrize("lie", [wrong_row, wrong_node, nothing, more_than_asked, made_up_keys])
def test_a_source_that_lies_is_named_and_left_alone(lie: Lie) -> None:
    server = Server(pins(3_000))
    fetcher = Fetcher()

    fetcher.fetch({A: server, B: server}, {A: lie})

    assert fetcher.staged() == server.state()
    assert [source for source, verdict in fetcher.verdicts if verdict.is_fault] == [A]
    assert (A, Verdict.WRONG_STATE) in fetcher.verdicts


def test_what_a_liar_sent_before_its_lie_is_kept() -> None:
    server = Server(pins(3_000))
    fetcher = Fetcher()
    fetcher.fetcher.aim(server.root, [A])
    for _ in range(5):
        fetcher.step({A: server})
    before = len(fetcher.staged())
    fetcher.step({A: server}, {A: wrong_row})

    fetcher.fetch({B: server})

    assert before > 0
    assert sum(len(r.rows) for s, r in fetcher.asked if s == B) < 3_000
    assert fetcher.staged() == server.state()


def test_a_source_of_another_checkpoint_is_no_liar() -> None:
    new, old = Server(pins(500)), Server(pins(400))
    fetcher = Fetcher()

    fetcher.fetch({B: new, A: old})

    assert (A, Verdict.LATE) in fetcher.verdicts
    assert not any(verdict.is_fault for _, verdict in fetcher.verdicts)
    assert fetcher.staged() == new.state()


def test_a_root_that_nobody_certified_is_never_filled_with_another_state() -> None:
    """A source claims the wanted root and sends the tree of its own."""
    server, forger = Server(pins(500)), Server(pins(500, b"forged"))
    fetcher = Fetcher()

    def forge(fetch: FetchState, _: StateParts) -> StateParts:
        own = answer(forger.store, replace(fetch, root=forger.root))
        return replace(own, root=fetch.root)

    fetcher.fetch({A: server, B: server}, {A: forge})

    assert fetcher.staged() == server.state()
    assert (A, Verdict.WRONG_STATE) in fetcher.verdicts


def test_a_source_that_does_not_answer_is_passed_over_and_not_accused() -> None:
    server = Server(pins(1_000))
    fetcher = Fetcher()

    fetcher.fetch({A: server, B: server}, {A: lambda fetch, parts: None})

    assert fetcher.staged() == server.state()
    assert {source for source, _ in fetcher.verdicts} == {B}


def test_an_answer_that_comes_too_late_is_judged_by_nobody() -> None:
    server = Server(pins(1_000))
    fetcher = Fetcher()
    fetcher.fetcher.aim(server.root, [A])
    [(_, first)] = fetcher.fetcher.requests(0)
    later_ms = 4 * ANSWER_TIMEOUT_MS
    assert fetcher.fetcher.requests(ANSWER_TIMEOUT_MS) == []
    [(_, second)] = fetcher.fetcher.requests(later_ms)

    late = StateParts(number=first.number, root=server.root, nodes=(b"x",), rows=())

    assert second.number != first.number
    assert fetcher.fetcher.on_parts(A, late, later_ms) is Verdict.UNSOLICITED
    assert fetcher.fetcher.on_parts(B, late, later_ms) is Verdict.UNSOLICITED


def test_at_most_one_request_is_under_way_to_each_source() -> None:
    server = Server(pins(5_000))
    fetcher = Fetcher()
    fetcher.fetcher.aim(server.root, [A, B])
    for _ in range(3):
        fetcher.step({A: server, B: server})

    first = fetcher.fetcher.requests(1_000)

    assert len(first) == len({source for source, _ in first}) == 2
    assert fetcher.fetcher.requests(1_001) == []
    assert fetcher.fetcher.deadline_ms(1_001) == 1_000 + ANSWER_TIMEOUT_MS


def test_when_all_sources_lied_they_are_asked_again_much_later() -> None:
    server = Server(pins(500))
    fetcher = Fetcher()
    fetcher.fetcher.aim(server.root, [A])
    fetcher.step({A: server}, {A: nothing})
    at_ms = fetcher.now_ms

    assert fetcher.fetcher.requests(at_ms + LIAR_PAUSE_MS - 1) == []
    assert fetcher.fetcher.deadline_ms(at_ms + 1) == at_ms + LIAR_PAUSE_MS
    assert len(fetcher.fetcher.requests(at_ms + LIAR_PAUSE_MS)) == 1
