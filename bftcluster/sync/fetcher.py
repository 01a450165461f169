"""Fetches the state of a certified checkpoint piece by piece, from peers that need no trust.

What has been checked goes to a stage of its own, children before their parents: a staged node whose
digest is the wanted one has all its rows staged. So whatever a crash or a newer checkpoint leaves
behind is found again, by digest, and only the rest is asked for. Our own, older state is looked at
before anybody is asked.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bftcluster.ids import Digest, PeerId
from bftcluster.ledger.rows.spaces import Key, Space
from bftcluster.ledger.rows.store import scan
from bftcluster.ledger.rows.tree import before_key, node_key
from bftcluster.ledger.rows.tree_nodes import (
    ENTRY_SIZE,
    HASH_SIZE,
    digest_of_node,
    digest_of_value,
    is_branch,
    is_well_formed,
    node_of,
    records_of,
    row_of,
    slot_count,
    slot_digest,
)
from bftcluster.limits import (
    STATE_REMEMBERED_SIZE_BYTES,
    STATE_REQUESTS_MAX,
    STATE_WANTS_MAX,
)
from bftcluster.pbft.verdicts import Verdict
from bftcluster.sync.frames import FetchState, StateParts
from bftcluster.sync.sources import ANSWER_TIMEOUT_MS, Sources
from bftcluster.sync.state_parts import Source

_LOCAL_NODES_MAX: Final = 4_096
"""Nodes found in our own state in one step: bounds what one step writes."""
_HEX: Final = "0123456789abcdef"

_Node = tuple[str, Digest]
"""The path to a node, and the digest it must have."""
_Row = tuple[Key, bytes, str]
"""A row, the digest its value must have, and the page it is in."""


@dataclass(slots=True)
class _Branch:
    node: bytes
    missing: int
    """Children that are not staged yet."""


@dataclass(slots=True)
class _Page:
    node: bytes
    obsolete: list[Key]
    """Rows of the page that is staged in its place, which are no more."""
    missing: int
    found: dict[Key, bytes]


@dataclass(slots=True)
class _Asked:
    number: int
    nodes: list[_Node]
    rows: list[_Row]
    at_ms: int

    @property
    def deadline_ms(self) -> int:
        return self.at_ms + ANSWER_TIMEOUT_MS


class StateFetcher:
    """Knows what is missing, whom to ask for it, and what they are worth."""

    def __init__(self, *, stage: Source, own: Source) -> None:
        """Continue with what is staged.

        Args:
            stage: What earlier steps staged: everything that ``take_delta`` returned.
            own: Our own state, of whatever checkpoint.
        """
        self._stage = stage
        self._own = own
        self._delta: dict[Key, bytes | None] = {}
        self._root: Digest | None = None
        self._sources = Sources()
        self._number = 0
        self.is_complete = False
        """Whether the stage holds the whole state aimed at, once the delta is flushed."""
        self._nodes: dict[Digest, bytes] = {}
        """Nodes of earlier aims, by digest."""
        self._values: dict[Key, bytes] = {}
        """Rows of earlier aims."""
        self._forget_wants()

    def aim(self, root: Digest, sources: Sequence[PeerId]) -> None:
        """Fetch the state with this certified root, instead of any other, from these peers."""
        self._sources.use(sources, is_new_aim=root != self._root)
        if root == self._root:
            return
        self._root = root
        self._remember()
        self._forget_wants()
        self.is_complete = self._expect("", root)

    def is_served(self, now_ms: int) -> bool:
        """Return whether some source may still give more of the state aimed at.

        If none does, it is time to aim at a newer one; as long as one does, to move is to descend
        from a new root all over again.
        """
        return self._sources.may_have_more(self._asked, now_ms)

    def requests(self, now_ms: int) -> list[tuple[PeerId, FetchState]]:
        """Return what to ask whom now: at most one request is under way to each source."""
        for source, asked in list(self._asked.items()):
            if now_ms >= asked.deadline_ms:
                self._give_back(source)
                self._sources.on_silence(source, now_ms)
        self._look_at_own()
        requests: list[tuple[PeerId, FetchState]] = []
        for source in self._sources.in_order(now_ms):
            if len(self._asked) >= STATE_REQUESTS_MAX:
                break
            if source not in self._asked:
                request = self._request(source, now_ms)
                if request is None:
                    break
                requests.append((source, request))
        return requests

    def on_parts(self, source: PeerId, parts: StateParts, now_ms: int) -> Verdict:
        """Stage what is right in an answer; a wrong part makes its source wait for long."""
        asked = self._asked.get(source)
        if asked is None or parts.number != asked.number:
            return Verdict.UNSOLICITED
        if parts.root != self._root:
            self._give_back(source)
            self._sources.on_moved(source, now_ms)
            return Verdict.LATE
        is_right = len(parts.nodes) <= len(asked.nodes) and len(parts.rows) <= len(asked.rows)
        is_right = is_right and bool(parts.nodes or parts.rows)
        if is_right:
            is_right = self._take_nodes(asked, parts.nodes) and self._take_rows(asked, parts.rows)
        self._give_back(source)
        if not is_right:
            self._sources.on_lie(source, now_ms)
            return Verdict.WRONG_STATE
        self._sources.on_right(source, taken_ms=now_ms - asked.at_ms)
        return Verdict.ACCEPTED

    def on_malformed(self, source: PeerId, now_ms: int) -> Verdict:
        """Judge an answer that is none."""
        if source not in self._asked:
            return Verdict.UNSOLICITED
        self._give_back(source)
        self._sources.on_lie(source, now_ms)
        return Verdict.MALFORMED

    @property
    def asked(self) -> frozenset[PeerId]:
        """Who owes an answer."""
        return frozenset(self._asked)

    def take_delta(self) -> dict[Key, bytes | None]:
        """Return what to stage before the next call, in one transaction; ``None`` deletes."""
        delta, self._delta = self._delta, {}
        return delta

    def deadline_ms(self, now_ms: int) -> int:
        """Return when ``requests`` may have something new, if nothing arrives before."""
        due_ms = [asked.deadline_ms for asked in self._asked.values()]
        due_ms += self._sources.resume_ms(now_ms)
        if self._near:
            due_ms.append(now_ms)
        return min(due_ms, default=now_ms + ANSWER_TIMEOUT_MS)

    def _remember(self) -> None:
        """Keep what was fetched of an earlier aim and not staged: most of it is in the next one."""
        pages = self._pages.values()
        nodes = [branch.node for branch in self._branches.values()] + [page.node for page in pages]
        if sum(map(len, self._nodes.values())) > STATE_REMEMBERED_SIZE_BYTES:
            self._nodes = {}
        if sum(map(len, self._values.values())) > STATE_REMEMBERED_SIZE_BYTES:
            self._values = {}
        self._nodes.update((digest_of_node(node_of(node)), node) for node in nodes)
        self._values.update(row for page in pages for row in page.found.items())

    def _forget_wants(self) -> None:
        self._near: list[_Node] = []
        """Wanted nodes that our own state may have; the deepest are looked at first."""
        self._far: list[_Node] = []
        """Wanted nodes that it has not."""
        self._rows: deque[_Row] = deque()
        self._branches: dict[str, _Branch] = {}
        self._pages: dict[str, _Page] = {}
        self._asked: dict[PeerId, _Asked] = {}

    def _request(self, source: PeerId, now_ms: int) -> FetchState | None:
        rows = [self._rows.popleft() for _ in range(min(len(self._rows), STATE_WANTS_MAX))]
        nodes: list[_Node] = []
        if len(rows) < STATE_WANTS_MAX:
            nodes, self._far = self._far[-STATE_WANTS_MAX:], self._far[:-STATE_WANTS_MAX]
        if not nodes and not rows:
            return None
        self._number += 1
        self._asked[source] = _Asked(self._number, nodes, rows, now_ms)
        assert self._root is not None, "there is an aim"
        return FetchState(
            number=self._number,
            root=self._root,
            nodes=tuple(prefix for prefix, _ in nodes),
            rows=tuple(key for key, _, _ in rows),
        )

    def _give_back(self, source: PeerId) -> None:
        """Want again what a source did not give."""
        asked = self._asked.pop(source)
        self._far += asked.nodes
        self._rows.extend(asked.rows)

    def _take_nodes(self, asked: _Asked, nodes: Sequence[bytes]) -> bool:
        wanted, asked.nodes = asked.nodes, []
        for place, ((prefix, digest), node) in enumerate(zip(wanted, nodes, strict=False)):
            if not is_well_formed(node) or digest_of_node(node_of(node)) != digest:
                asked.nodes = wanted[place:]
                return False
            self._take_node(prefix, node)
        asked.nodes = wanted[len(nodes) :]
        return True

    def _take_rows(self, asked: _Asked, rows: Sequence[bytes]) -> bool:
        wanted, asked.rows = asked.rows, []
        for place, ((key, digest, prefix), value) in enumerate(zip(wanted, rows, strict=False)):
            if digest_of_value(value) != digest:
                asked.rows = wanted[place:]
                return False
            page = self._pages[prefix]
            page.found[key] = value
            page.missing -= 1
            if not page.missing:
                self._finish_page(prefix, page)
        asked.rows = wanted[len(rows) :]
        return True

    def _look_at_own(self) -> None:
        """Take the wanted nodes that our own state has, and set the others aside."""
        left = _LOCAL_NODES_MAX
        while self._near and left > 0:
            wanted, self._near = self._near[-STATE_WANTS_MAX:], self._near[:-STATE_WANTS_MAX]
            left -= len(wanted)
            own = self._own.get_many(Space.TREE, [node_key(prefix) for prefix, _ in wanted])
            for prefix, digest in wanted:
                node = self._nodes.get(digest) or own.get(node_key(prefix))
                if node is not None and digest_of_node(node_of(node)) == digest:
                    self._take_node(prefix, node)
                else:
                    self._far.append((prefix, digest))

    def _expect(self, prefix: str, digest: Digest) -> bool:
        """Return whether a node is staged with all below it; else want it."""
        staged = self._staged_node(prefix)
        if staged is not None:
            if digest_of_node(node_of(staged)) == digest:
                return True
            if is_branch(staged):
                self._delta[Space.TREE, node_key(prefix)] = None
        self._near.append((prefix, digest))
        return False

    def _take_node(self, prefix: str, node: bytes) -> None:
        if is_branch(node):
            self._take_branch(prefix, node)
        else:
            self._take_page(prefix, node)

    def _take_branch(self, prefix: str, node: bytes) -> None:
        staged = self._staged_node(prefix)
        if staged is not None:
            self._unstage(prefix, staged)
        missing = 0
        for number, nibble in enumerate(_HEX):
            child = prefix + nibble
            if not slot_count(node, number):
                self._clear(child)
            elif not self._expect(child, Digest(slot_digest(node, number))):
                missing += 1
        if missing:
            self._branches[prefix] = _Branch(node, missing)
        else:
            self._finish(prefix, node)

    def _take_page(self, prefix: str, node: bytes) -> None:
        staged = self._staged_node(prefix)
        before = {} if staged is None else _digests_of(staged)
        if staged is None:
            self._clear(prefix)
        wanted = _digests_of(node)
        new = {key: digest for key, digest in wanted.items() if before.get(key) != digest}
        found = self._own_rows(new)
        obsolete = [key for key in before if key not in wanted]
        page = _Page(node, obsolete, len(new) - len(found), found)
        if page.missing:
            self._pages[prefix] = page
            self._rows.extend(
                (key, digest, prefix) for key, digest in new.items() if key not in found
            )
        else:
            self._finish_page(prefix, page)

    def _own_rows(self, wanted: dict[Key, bytes]) -> dict[Key, bytes]:
        """Return those rows that our own state, or an earlier aim, had with these values."""
        found: dict[Key, bytes] = {}
        kept = self._own.get_many(Space.BEFORE, [before_key(*key) for key in wanted])
        for space in sorted({space for space, _ in wanted}):
            names = [name for each, name in wanted if each is space]
            now = self._own.get_many(space, names)
            for name in names:
                values = (
                    kept.get(before_key(space, name), now.get(name)),
                    self._values.get((space, name)),
                )
                for value in values:
                    if value is not None and digest_of_value(value) == wanted[space, name]:
                        found[space, name] = value
        return found

    def _finish_page(self, prefix: str, page: _Page) -> None:
        self._pages.pop(prefix, None)
        self._delta.update(dict.fromkeys(page.obsolete))
        self._delta.update(page.found)
        self._finish(prefix, page.node)

    def _finish(self, prefix: str, node: bytes) -> None:
        """Stage a node that has everything below it, and each above that it was the last of."""
        self._delta[Space.TREE, node_key(prefix)] = node
        while prefix:
            prefix = prefix[:-1]
            parent = self._branches[prefix]
            parent.missing -= 1
            if parent.missing:
                return
            del self._branches[prefix]
            self._delta[Space.TREE, node_key(prefix)] = parent.node
        self.is_complete = True

    def _staged_node(self, prefix: str) -> bytes | None:
        key = (Space.TREE, node_key(prefix))
        return self._delta[key] if key in self._delta else self._stage.get(*key)

    def _clear(self, prefix: str) -> None:
        """Remove whatever is staged at a path and below."""
        start = node_key(prefix)
        staged = self._staged_node(prefix)
        if staged is not None:
            self._unstage(prefix, staged)
        for key, node in scan(self._stage, Space.TREE, start):
            if not key.startswith(start):
                return
            self._unstage(key[1:].decode(), node)

    def _unstage(self, prefix: str, node: bytes) -> None:
        self._delta[Space.TREE, node_key(prefix)] = None
        if not is_branch(node):
            self._delta.update(dict.fromkeys(_digests_of(node)))


def _digests_of(page: bytes) -> dict[Key, bytes]:
    """Return the digests of the values of a page's rows."""
    return {row_of(each): each[HASH_SIZE:ENTRY_SIZE] for each in records_of(page)}
