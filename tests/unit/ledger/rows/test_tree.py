from bftcluster.ids import Digest, Seq
from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.tree import StateTree, node_key
from bftcluster.ledger.rows.tree_nodes import (
    EMPTY_PAGE,
    PAGE_ENTRIES_MAX,
    digest_of_node,
    is_branch,
)
from bftcluster.ledger.rows.tree_proofs import Proof, prove, proves

Contents = dict[bytes, bytes]


class Tree:
    """A stored tree over rows of one space."""

    def __init__(self) -> None:
        self.store = MemoryStateStore()
        self.tree = StateTree(self.store)
        self.seq = 0

    def set(self, rows: dict[bytes, bytes | None]) -> None:
        self.tree.absorb([(Space.PIN, rows)])

    def save(self) -> None:
        self.seq += 1
        self.store.flush(self.tree.take_delta(Seq(self.seq)))

    def root(self, rows: dict[bytes, bytes | None] | None = None) -> Digest:
        self.set(rows or {})
        root = self.tree.root()
        self.save()
        return root

    def reopen(self) -> None:
        self.tree = StateTree(self.store)

    def nodes(self) -> dict[bytes, bytes]:
        return dict(self.store.iterate(Space.TREE, b"", 10**6))


def contents(count: int, value: bytes = b"value") -> Contents:
    return {b"key %d" % number: value + b" %d" % number for number in range(count)}


def test_the_root_of_nothing_is_that_of_an_empty_page() -> None:
    assert Tree().root() == digest_of_node(EMPTY_PAGE)


def test_the_root_is_the_same_for_ever() -> None:
    """Pinned: another root would split peers of different versions."""
    roots = [Tree().root(contents(count)).hex()[:16] for count in (0, 1, 32, 33, 1000)]

    assert roots == [
        "20c791376d122647",
        "4421aa6fd3474a45",
        "a0d7ff238017abde",
        "c02ce524cd43a0fe",
        "bacea73d158ed60f",
    ]


def test_rows_that_come_one_by_one_give_the_root_of_all_at_once() -> None:
    rows = contents(200)
    slow = Tree()
    for key, value in rows.items():
        slow.set({key: value})
        slow.tree.root()
    slow.save()
    fast = Tree()

    assert slow.root() == fast.root(rows)
    assert slow.nodes() == fast.nodes()


def test_removing_rows_leaves_no_trace() -> None:
    few, many = contents(40), contents(2000)
    grown = Tree()
    grown.root(few)
    before = grown.nodes()
    grown.root(many)

    shrunk = grown.root({key: None for key in many if key not in few})

    assert shrunk == Tree().root(few)
    assert grown.nodes() == before


def test_removing_everything_is_as_never_having_been() -> None:
    tree = Tree()
    tree.root(contents(500))

    assert tree.root(dict.fromkeys(contents(500))) == digest_of_node(EMPTY_PAGE)
    assert tree.nodes() == {node_key(""): EMPTY_PAGE}


def test_a_page_splits_when_it_is_full_and_not_before() -> None:
    tree = Tree()

    tree.root(contents(PAGE_ENTRIES_MAX))
    assert len(tree.nodes()) == 1

    tree.root(contents(PAGE_ENTRIES_MAX + 1))
    assert is_branch(tree.nodes()[node_key("")])


def test_a_branch_becomes_a_page_when_one_page_can_hold_it() -> None:
    tree = Tree()
    tree.root(contents(PAGE_ENTRIES_MAX + 1))

    tree.root({b"key 0": None})

    assert list(tree.nodes()) == [node_key("")]
    assert not is_branch(tree.nodes()[node_key("")])


def test_a_row_changed_back_gives_the_old_root_back() -> None:
    tree = Tree()
    old = tree.root(contents(100))

    assert tree.root({b"key 7": b"other"}) != old
    assert tree.root({b"key 7": b"value 7"}) == old


def test_removing_a_row_that_is_not_there_changes_nothing() -> None:
    tree = Tree()
    old = tree.root(contents(100))

    assert tree.root({b"no such key %d" % number: None for number in range(50)}) == old


def test_a_row_in_another_space_is_another_row() -> None:
    one, two = Tree(), Tree()
    one.tree.absorb([(Space.PIN, {b"key": b"value"})])
    two.tree.absorb([(Space.PEER, {b"key": b"value"})])

    assert one.root() != two.root()


def test_changes_that_wait_for_a_root_outlive_a_restart() -> None:
    rows = contents(300)
    tree = Tree()
    tree.root(contents(100))
    tree.set(rows)
    tree.save()
    tree.set({b"key 5": None})
    tree.save()

    tree.reopen()

    assert len(tree.store.iterate(Space.TREE_PENDING, b"", 9)) == 2
    assert tree.root() == Tree().root({k: v for k, v in rows.items() if k != b"key 5"})
    assert tree.store.iterate(Space.TREE_PENDING, b"", 9) == []


def test_many_saves_between_two_roots_are_all_found_again() -> None:
    tree = Tree()
    for key, value in contents(150).items():
        tree.set({key: value})
        tree.save()

    tree.reopen()

    assert tree.root() == Tree().root(contents(150))


def test_nothing_to_save_is_no_row() -> None:
    tree = Tree()
    tree.save()

    assert tree.store.rows() == {}


def test_two_roots_in_one_delta_see_each_other() -> None:
    tree = Tree()
    tree.root(contents(40))
    tree.set(dict.fromkeys(contents(40)))
    tree.tree.root()
    tree.set(contents(60))
    second = tree.tree.root()
    tree.save()

    assert second == Tree().root(contents(60))
    assert tree.root({b"one more": b""}) == Tree().root(contents(60) | {b"one more": b""})


def test_a_row_is_proved_to_be_there_with_its_value() -> None:
    for count in (1, 32, 33, 5000):
        tree = Tree()
        root = tree.root(contents(count))
        proof = prove(tree.store, Space.PIN, b"key 0")

        assert proves(root, Space.PIN, b"key 0", b"value 0", proof)
        assert not proves(root, Space.PIN, b"key 0", b"value 1", proof)
        assert not proves(root, Space.PIN, b"key 0", None, proof)
        assert not proves(root, Space.PEER, b"key 0", b"value 0", proof)


def test_a_row_is_proved_to_be_absent() -> None:
    for count in (0, 1, 33, 40, 5000):
        tree = Tree()
        root = tree.root(contents(count))
        for number in range(20):
            key = b"other %d" % number
            proof = prove(tree.store, Space.PIN, key)

            assert proves(root, Space.PIN, key, None, proof)
            assert not proves(root, Space.PIN, key, b"", proof)


def test_a_row_deep_in_a_large_tree_is_proved() -> None:
    tree = Tree()
    root = tree.root(contents(20_000))
    proof = prove(tree.store, Space.PIN, b"key 0")

    assert len(proof.nodes) == 4
    assert root.hex()[:16] == "7d63aa9939e13fda"
    assert proves(root, Space.PIN, b"key 0", b"value 0", proof)
    assert tree.root({b"key 0": b"other"}) != root
    assert tree.root({b"key 0": b"value 0"}) == root


def test_a_proof_for_another_root_proves_nothing() -> None:
    tree = Tree()
    old = tree.root(contents(500))
    tree.root({b"key 1": b"changed"})

    proof = prove(tree.store, Space.PIN, b"key 0")

    assert not proves(old, Space.PIN, b"key 0", b"value 0", proof)


def test_a_proof_with_a_node_less_or_more_proves_nothing() -> None:
    tree = Tree()
    root = tree.root(contents(500))
    proof = prove(tree.store, Space.PIN, b"key 0")

    assert len(proof.nodes) > 1
    for nodes in (proof.nodes[:-1], (*proof.nodes, EMPTY_PAGE), proof.nodes[1:], ()):
        assert not proves(root, Space.PIN, b"key 0", b"value 0", Proof(nodes))


def test_an_absence_proof_ends_where_the_path_ends() -> None:
    tree = Tree()
    root = tree.root(contents(34))
    keys = [b"other %d" % number for number in range(200)]
    proofs = {key: prove(tree.store, Space.PIN, key) for key in keys}
    stopped = next(key for key in keys if len(proofs[key].nodes) == 1)

    longer = Proof((*proofs[stopped].nodes, EMPTY_PAGE))

    assert proves(root, Space.PIN, stopped, None, proofs[stopped])
    assert not proves(root, Space.PIN, stopped, None, longer)
