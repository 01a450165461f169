import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bftcluster import cid as cids
from bftcluster.api.views import ContentKind
from bftcluster.blocks.formats.block import Block, make_node
from bftcluster.blocks.formats.dag_pb import DagLink, encode_node
from bftcluster.blocks.formats.layout import Layout
from bftcluster.blocks.formats.unixfs import DIRECTORY_MESSAGE, file_message
from bftcluster.blocks.importer.car import CarReader, export_car, write_car
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import Cid
from bftcluster_cli.content import car_files, downloads
from bftcluster_cli.content.own_dag import OwnDag
from bftcluster_cli.content.uploads import body_of, entries_of
from tests.unit.blocks.bombs import (
    copies,
    directory,
    empty_shards,
    heavy_entries,
    leaf,
    names_without_end,
    node,
)
from tests.unit.cli.conftest import Shell
from tests.unit.cli.ledger_peer import LedgerPeer


@pytest.fixture
def photos(home: Path) -> Path:
    """A directory with everything that is awkward."""
    directory = home / "photos"
    (directory / "1999 & later").mkdir(parents=True)
    (directory / "a.txt").write_bytes(b"a" * 10)
    (directory / "1999 & later" / '100%+ü "x".jpg').write_bytes(bytes(range(256)) * 2000)
    (directory / "empty").touch()
    (directory / ".hidden").write_bytes(b"secret")
    return directory


def added(shell: Shell) -> str:
    return shell.ok("add", "photos", "--hidden", "--no-pin", "--quieter").out.strip()


def test_a_directory_is_added_and_proposed(shell: Shell, peer: LedgerPeer, photos: Path) -> None:
    answer = shell.ok("add", "photos", "--key", "alice.key", "--yes", "--json")

    root = answer.record
    assert (root["code"], root["name"], root["approvals"]) == ("pending", "photos", 1)
    assert peer.added_parts == [
        (ContentKind.DIRECTORY, "photos"),
        (ContentKind.DIRECTORY, "photos/1999 & later"),
        (ContentKind.FILE, 'photos/1999 & later/100%+ü "x".jpg'),
        (ContentKind.FILE, "photos/a.txt"),
        (ContentKind.FILE, "photos/empty"),
    ]
    assert answer.records[-2]["cid"] == root["cid"]


def test_hidden_files_come_along_when_asked(shell: Shell, peer: LedgerPeer, photos: Path) -> None:
    shell.ok("add", "photos", "--hidden", "--no-pin")

    assert (ContentKind.FILE, "photos/.hidden") in peer.added_parts


def test_add_without_pin_needs_no_key_and_names_each_file(
    shell: Shell, peer: LedgerPeer, photos: Path
) -> None:
    answer = shell.ok("add", "photos/a.txt", "--no-pin")

    assert answer.out == f"added {cids.text(cids.of_block(b'a' * 10))} a.txt\n"
    assert peer.last_add is not None
    assert peer.last_add.no_pin


def test_quieter_writes_the_root_only(shell: Shell, peer: LedgerPeer, photos: Path) -> None:
    answer = shell.ok("add", "photos", "--no-pin", "--quieter")

    assert answer.out.count("\n") == 1
    cids.parse(answer.out.strip())


@pytest.mark.parametrize(
    "options",
    ["", "--cid-version 0", "--chunker size-1000", "--wrap", "--no-raw-leaves", "--hidden"],
)
def test_the_same_cid_is_computed_on_this_machine(
    shell: Shell, peer: LedgerPeer, photos: Path, options: str
) -> None:
    (photos / "link").symlink_to("a.txt")
    (photos / "deep" / "empty").mkdir(parents=True)

    shell.ok("add", "photos", "--no-pin", *options.split())


def test_a_peer_cannot_have_something_else_signed(
    shell: Shell, peer: LedgerPeer, photos: Path
) -> None:
    peer.root_shown = cids.of_block(b"something else")

    answer = shell("add", "photos", "--key", "alice.key", "--yes")

    assert answer.code == 1
    assert f"made {cids.text(peer.root_shown)} of content that is bafy" in answer.err
    assert shell.ok("pin", "pending").out == ""


def test_several_paths_are_wrapped(shell: Shell, peer: LedgerPeer, photos: Path) -> None:
    shell.ok("add", "photos/a.txt", "photos/empty", "--no-pin")

    assert peer.last_add is not None
    assert peer.last_add.wrap_with_directory


def test_options_reach_the_peer(shell: Shell, peer: LedgerPeer, photos: Path) -> None:
    line = "add photos --no-pin --chunker size-1024 --cid-version 0 --raw-leaves"

    shell.ok(*line.split())

    assert peer.last_add is not None
    assert (peer.last_add.chunk_size_bytes, peer.last_add.cid_version) == (1024, 0)
    assert peer.last_add.raw_leaves


def test_without_a_key_nothing_is_uploaded(shell: Shell, peer: LedgerPeer, photos: Path) -> None:
    answer = shell("add", "photos", "--yes")

    assert answer.code == 2
    assert "this needs a maintainer's key" in answer.err
    assert peer.added_parts == []


def test_without_consent_nothing_is_uploaded(shell: Shell, peer: LedgerPeer, photos: Path) -> None:
    answer = shell("add", "photos", "--key", "alice.key")

    assert answer.code == 2
    assert "hint: pass --yes" in answer.err
    assert peer.added_parts == []


def test_a_full_peer_refuses(shell: Shell, peer: LedgerPeer, photos: Path) -> None:
    peer.quota_bytes = 1000

    answer = shell("add", "photos", "--no-pin")

    assert answer.code == 1
    assert "the quota is used up" in answer.err


def test_what_was_added_comes_back(shell: Shell, peer: LedgerPeer, photos: Path) -> None:
    root = added(shell)

    answer = shell.ok("get", root, "--output", "back", "--json")

    assert (answer.record["files"], answer.record["size_bytes"]) == (4, 512_016)
    for path in photos.rglob("*"):
        twin = Path("back") / path.relative_to(photos)
        assert twin.is_dir() if path.is_dir() else twin.read_bytes() == path.read_bytes()


def test_nothing_is_overwritten_by_what_comes_back(
    shell: Shell, peer: LedgerPeer, photos: Path
) -> None:
    root = shell.ok("add", "photos/a.txt", "--no-pin", "--quieter").out.strip()

    answer = shell("get", root, "--output", "photos/empty")

    assert answer.code == 2
    assert (photos / "empty").read_bytes() == b""


def test_a_file_goes_to_stdout(shell: Shell, peer: LedgerPeer, photos: Path) -> None:
    shell.ok("add", "photos/a.txt", "--no-pin")
    cid = cids.text(cids.of_block(b"a" * 10))

    run = subprocess.run(
        [sys.executable, "-m", "bftcluster_cli", "get", cid, "--output", "-", "--api", peer.url],
        capture_output=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )

    assert run.stdout == b"a" * 10


def test_a_file_without_end_does_not_go_to_stdout(
    shell: Shell, peer: LedgerPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "PRINTED_BASE_BYTES", 1000)
    cid, size = leaf(peer.blocks, b"x"), 1
    for _ in range(3):
        sizes = [size] * 100
        cid = node(peer.blocks, [DagLink(cid=cid)] * 100, file_message(b"", sum(sizes), sizes))
        size = sum(sizes)

    answer = shell("get", cids.text(cid), "--output", "-")

    assert answer.code == 2
    assert answer.out == ""
    assert "1,000,000 bytes are described by" in answer.err


def test_a_car_is_kept_as_it_is(shell: Shell, peer: LedgerPeer, photos: Path) -> None:
    root = added(shell)
    expected = io.BytesIO()
    export_car(peer.blocks, cids.parse(root), expected)

    shell.ok("get", root, "--car", "--output", "photos.car")

    assert Path("photos.car").read_bytes() == expected.getvalue()


def cut(car: bytes) -> bytes:
    return car[:-1000]


def cut_between_blocks(car: bytes) -> bytes:
    out = io.BytesIO()
    reader = CarReader(io.BytesIO(car))
    write_car(reader.roots, list(reader)[:-1], out)
    return out.getvalue()


def with_another_bit(car: bytes) -> bytes:
    return car[:-1] + bytes((car[-1] ^ 1,))


def with_something_else_behind(car: bytes) -> bytes:
    extra = Block.make(b"something to fill the disk with")
    reader = CarReader(io.BytesIO(car))
    out = io.BytesIO()
    write_car(reader.roots, [*reader, extra], out)
    return out.getvalue()


def of_something_else(car: bytes) -> bytes:
    other = Block.make(b"something else")
    out = io.BytesIO()
    write_car((other.cid,), [other], out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("lie", "complaint"),
    [
        (cut, "not the content"),
        (cut_between_blocks, "left out 1 blocks"),
        (with_another_bit, "a damaged block"),
        (with_something_else_behind, "does not belong to the content"),
        (of_something_else, "a CAR of something else"),
        (lambda _: b"", "an empty file is no CAR"),
    ],
)
def test_a_peer_cannot_change_content(
    shell: Shell,
    peer: LedgerPeer,
    photos: Path,
    lie: Callable[[bytes], bytes],
    complaint: str,
) -> None:
    root = added(shell)
    honest = io.BytesIO()
    export_car(peer.blocks, cids.parse(root), honest)
    peer.car_sent = lie(honest.getvalue())

    answer = shell("get", root, "--output", "back")

    assert answer.code == 1
    assert complaint in answer.err
    assert not [path for path in Path().iterdir() if "back" in path.name]


MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], check=False).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Between us and the command: what its parent had in memory counts towards a child's peak."""


@pytest.mark.parametrize("bomb", [empty_shards, names_without_end, copies, heavy_entries])
def test_get_of_a_bomb_ends_in_little_memory_and_leaves_nothing(
    peer: LedgerPeer, tmp_path: Path, bomb: Callable[[MemoryBlockStore], Cid]
) -> None:
    root = cids.text(bomb(peer.blocks))
    work = tmp_path / "work"
    work.mkdir()

    get = [sys.executable, "-m", "bftcluster_cli", "get", root, "--api", peer.url]
    run = subprocess.run(
        [sys.executable, "-c", MEASURED, *get],
        env={"PYTHONPATH": ":".join(sys.path)},
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
    )

    code, peak_kib = map(int, run.stdout.split())
    assert code == 1, run.stderr
    assert run.stderr.startswith("error: ")
    assert peak_kib < 200_000
    assert list(work.iterdir()) == []


def test_links_that_lead_to_no_block_are_not_collected_for_ever(
    shell: Shell, peer: LedgerPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = [DagLink(cid=cids.of_block(b"%d" % number)) for number in range(100)]
    block = make_node(encode_node(links, DIRECTORY_MESSAGE), version=1)
    out = io.BytesIO()
    write_car((block.cid,), [block], out)
    peer.car_sent = out.getvalue()
    monkeypatch.setattr(car_files, "WALK_PENDING_MAX", 99)

    answer = shell("get", cids.text(block.cid), "--output", "back")

    assert answer.code == 1
    assert "links without end" in answer.err


def test_what_is_behind_a_block_in_its_own_cid_belongs_to_the_content(tmp_path: Path) -> None:
    store = MemoryBlockStore()
    node = encode_node([DagLink(cid=leaf(store))], DIRECTORY_MESSAGE)
    root = directory(store, ("x", cids.from_bytes(bytes((1, 0x70, 0, len(node))) + node)))
    with (tmp_path / "car").open("w+b") as file:
        car = car_files.CarFile(file)
        sent = io.BytesIO()
        export_car(store, root, sent)

        car.receive(root, iter([sent.getvalue()]), lambda _: None)

        assert car.has_many([root]) == [True]


def test_content_that_nobody_has_is_refused(shell: Shell, peer: LedgerPeer) -> None:
    answer = shell("get", cids.text(cids.of_block(b"nowhere")))

    assert answer.code == 1
    assert "is not here" in answer.err


def test_add_can_wait_for_replication(shell: Shell, peer: LedgerPeer, photos: Path) -> None:
    cid = cids.of_block(b"a" * 10)
    peer.let_everybody_hold(cid)
    shell.ok("add", "photos/a.txt", "--key", "alice.key", "--yes")

    shell.ok("pin", "approve", cids.text(cid), "--key", "bob.key", "--yes", "--wait")

    assert peer.record(cid) is not None


def test_symlinks_stay_symlinks(home: Path) -> None:
    (home / "top").mkdir()
    (home / "top" / "link").symlink_to("../elsewhere")

    entries = entries_of([home / "top"], hidden=False)

    assert [(entry.name, entry.kind) for entry in entries] == [
        ("top", ContentKind.DIRECTORY),
        ("top/link", ContentKind.SYMLINK),
    ]
    body = b"".join(body_of(entries, "b", OwnDag(Layout()), lambda _: None))
    assert b"\r\n\r\n../elsewhere\r\n" in body


def test_two_paths_of_one_name_are_refused(shell: Shell, home: Path) -> None:
    for name in ("one", "two"):
        (home / name).mkdir()
        (home / name / "same").touch()

    told = shell.misused("add", "one/same", "two/same", "--no-pin")

    assert "two paths are named 'same'" in told


def test_id_says_who_answers(shell: Shell, peer: LedgerPeer) -> None:
    assert "peer-1  sees 3 other peers" in shell.ok("id").out
    assert shell.ok("id", "--json").record["peername"] == "peer-1"


def test_status_says_how_a_peer_is_doing(shell: Shell, peer: LedgerPeer) -> None:
    peer.down = ("peer4",)

    told = shell.ok("peer", "status").out

    assert "links      2 of 3 connected" in told
    assert "peer4  DOWN" in told
    assert ", 1 DAMAGED, 2 healed" in told
