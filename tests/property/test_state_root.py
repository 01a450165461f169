"""The state root depends on what the state is, not on how it came about."""

import hypothesis.strategies as st
from hypothesis import given
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bftcluster.ids import Seq
from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.tree import StateTree
from bftcluster.ledger.rows.tree_proofs import Proof, prove, proves

KEYS = st.integers(0, 400).map(lambda number: b"%d" % number)
VALUES = st.none() | st.binary(max_size=3)
CHANGES = st.dictionaries(KEYS, VALUES, max_size=120)
SPACES = st.sampled_from([Space.PIN, Space.NONCE])


class TreeHistories(RuleBasedStateMachine):
    """Any history of changes, roots, saves and restarts against a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStateStore()
        self.tree = StateTree(self.store)
        self.rows: dict[tuple[Space, bytes], bytes] = {}
        self.seq = 0
        self.is_saved = True

    @rule(space=SPACES, changes=CHANGES)
    def change(self, space: Space, changes: dict[bytes, bytes | None]) -> None:
        self.tree.absorb([(space, changes)])
        for key, value in changes.items():
            if value is None:
                self.rows.pop((space, key), None)
            else:
                self.rows[space, key] = value
        self.is_saved = False

    @rule(space=SPACES, first=st.integers(0, 400), count=st.integers(1, 400))
    def remove_many(self, space: Space, first: int, count: int) -> None:
        self.change(space, {b"%d" % number: None for number in range(first, first + count)})

    @rule()
    def save(self) -> None:
        self.seq += 1
        self.store.flush(self.tree.take_delta(Seq(self.seq)))
        self.is_saved = True

    @precondition(lambda self: self.is_saved)
    @rule()
    def restart(self) -> None:
        self.tree = StateTree(self.store)

    @rule(space=SPACES, key=KEYS)
    def root(self, space: Space, key: bytes) -> None:
        root = self.tree.root()
        self.save()

        fresh = StateTree(MemoryStateStore())
        for (own, name), value in self.rows.items():
            fresh.absorb([(own, {name: value})])
        assert root == fresh.root()
        stored = {k: v for (s, k), v in self.store.rows().items() if s is Space.TREE}
        assert stored == {k: v for (_, k), v in fresh.take_delta(Seq(1)).items() if v is not None}
        value = self.rows.get((space, key))
        proof = Proof.from_bytes(prove(self.store, space, key).to_bytes())
        assert proves(root, space, key, value, proof)
        assert not proves(root, space, key, None if value is not None else b"", proof)

    @invariant()
    def waiting_changes_are_stored_or_about_to_be(self) -> None:
        pending = self.store.iterate(Space.TREE_PENDING, b"", 1000)
        assert len(pending) <= self.seq


TestTreeHistories = TreeHistories.TestCase


@given(st.lists(st.binary(max_size=700), max_size=5), st.binary(max_size=8))
def test_no_made_up_proof_proves_anything(nodes: list[bytes], key: bytes) -> None:
    root = StateTree(MemoryStateStore()).root()
    nodes = [node for node in nodes if node]

    for value in (b"", key):
        assert not proves(root, Space.PIN, key, value, Proof(tuple(nodes)))
