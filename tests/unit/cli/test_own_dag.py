"""What a maintainer's machine says of the blocks of an upload is what every holder finds."""

import itertools
from pathlib import Path

import pytest

from bftcluster import cid as cids
from bftcluster.api.views import ContentKind
from bftcluster.blocks.dag.walk import held_cids, walk
from bftcluster.blocks.formats.layout import Layout
from bftcluster.blocks.importer.adder import Adder
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.ledger.wire.block_tree import PinContents, is_at, path_of, root_of
from bftcluster_cli.content import own_dag
from bftcluster_cli.content.own_dag import OwnDag
from bftcluster_cli.content.uploads import entries_of
from bftcluster_cli.output import size_text
from tests.unit.cli.conftest import Shell
from tests.unit.cli.ledger_peer import LedgerPeer

FILES = {
    "top/b.bin": bytes(range(256)) * 4000,
    "top/a/twice": b"zero" * 40_000,
    "top/a/again": b"zero" * 40_000,
    "top/z/deep/empty": b"",
    "top/small": b"kept by many",
}


@pytest.fixture
def top(home: Path) -> Path:
    """Files of several levels, chunks that repeat, and the same file twice."""
    for name, data in FILES.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(data)
    (home / "top" / "link").symlink_to("a/twice")
    return home / "top"


def built_here(top: Path, layout: Layout) -> tuple[OwnDag, cids.Cid]:
    own = OwnDag(layout)
    for entry in entries_of([top], hidden=False):
        own.begin(entry)
        if entry.kind is ContentKind.SYMLINK:
            own.write(b"a/twice")
        elif entry.kind is ContentKind.FILE:
            own.write(FILES[entry.name])
    return own, own.root(is_wrapped=False)


@pytest.mark.parametrize(
    "layout",
    [
        Layout(),
        Layout(chunk_size_bytes=1000),
        Layout(chunk_size_bytes=1000, cid_version=0, raw_leaves=False),
    ],
    ids=["one chunk a file", "small chunks", "as Kubo did"],
)
def test_contents_are_those_of_a_walk_over_the_stored_blocks(top: Path, layout: Layout) -> None:
    own, root = built_here(top, layout)
    store = MemoryBlockStore()
    with Adder(store, layout=layout) as adder:
        for name, data in reversed(FILES.items()):
            adder.add_file(name, [data])
        adder.add_symlink("top/link", b"a/twice")
        assert adder.finish().cid == root
    held = list(itertools.chain.from_iterable(held_cids(store, root)))

    contents = own.contents(root)

    sizes = [len(block.data) for block in walk(store, root)]
    assert contents == PinContents(size_bytes=sum(sizes), blocks=len(held), root=root_of(held))
    assert len(set(held)) == len(held)
    middle = len(held) // 2
    assert is_at(contents, middle, held[middle], path_of(held, middle))


def test_what_has_more_blocks_than_a_pin_can_name_is_left_unsaid(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_dag, "PIN_BLOCKS_MAX", 40)

    own, root = built_here(top, Layout(chunk_size_bytes=1000))

    assert own.contents(root) is None


def test_who_approves_an_upload_reads_its_size_and_every_list_shows_it(
    shell: Shell, peer: LedgerPeer, top: Path
) -> None:
    shell.ok("add", "top", "--key", "alice.key", "--yes")
    own, root = built_here(top, Layout())
    contents = own.contents(root)
    assert contents is not None
    text = f"{size_text(contents.size_bytes)} in {contents.blocks} blocks"

    told = shell.ok("pin", "approve", cids.text(root), "--key", "bob.key", "--yes")
    record = shell.ok("pin", "status", cids.text(root), "--json").record

    assert f"contents     {text}" in told.err
    assert text in shell.ok("pin", "ls").out
    assert (record["size_bytes"], record["blocks"]) == (contents.size_bytes, contents.blocks)


def test_a_pin_by_a_bare_cid_says_that_its_size_is_unknown(shell: Shell, peer: LedgerPeer) -> None:
    text = cids.text(cids.of_block(b"somewhere"))

    shell.ok("pin", "add", text, "--key", "alice.key", "--yes")

    told = shell.ok("pin", "approve", text, "--key", "bob.key", "--yes").err

    assert "contents     unknown" in told
