"""Attacks by content, and by the manner of handing it in."""

import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from bftcluster import cid as cids
from tests.e2e.processes import Peer, environment, pause
from tests.hostile import dags
from tests.hostile.arena import QUOTA_BYTES, Arena, BrokeError, random_bytes
from tests.hostile.attacks import Actor, attack
from tests.hostile.http import BOUNDARY, add, connect, multipart, opened, upload_begun

UPLOADER = Actor.UPLOADER
READ_S = 5.0
GET_MAX_S = 5.0
GET_MAX_BYTES = 200 * 10**6
READERS = 20


def take(peer: Peer, dag: dags.Dag) -> str:
    """Have a peer import a DAG, of blocks that are what they say; return its root."""
    answer = add(peer, multipart("x.car", dag.car()), "&format=car")
    if answer.status_code != 200:
        raise BrokeError(f"a CAR was answered with {answer.status_code}: {answer.text[:200]}")
    return cids.text(dag.root)


def _read(peer: Peer, root: str, form: str) -> bytes:
    """Read some of what a peer makes of a root."""
    received = bytearray()
    end_s = time.monotonic() + READ_S
    with connect(peer, timeout_s=READ_S) as one, suppress(OSError):
        head = "Host: localhost\r\nConnection: close\r\n\r\n"
        one.sendall(f"GET /content/{root}?format={form} HTTP/1.1\r\n{head}".encode())
        while time.monotonic() < end_s and len(received) < 4_000_000:
            part = one.recv(65536)
            if not part:
                break
            received += part
    return bytes(received)


def _bomb(name: str, make: Callable[[], dags.Dag], form: str) -> None:
    """Register an attack: a bomb is imported, read by many, and fetched by the command."""

    @attack(UPLOADER, name)
    def bomb(arena: Arena) -> Iterator[None]:
        peer = arena.standing[0]
        root = take(peer, make())
        ask = f"GET /content/{root}?format={form} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        with opened(peer, READERS, ask):
            _read(peer, root, form)
            yield


_bomb("content: shards within shards without end, as tar", dags.nested_shards, "tar")
_bomb("content: shards within shards without end, as CAR", dags.nested_shards, "car")
_bomb("content: a directory of a million million names, as tar", dags.many_names, "tar")
_bomb("content: a file of pieces without bytes, as tar", dags.empty_pieces, "tar")
_bomb("content: an exabyte of one block, as tar", dags.exabytes, "tar")
_bomb("content: 10^18 paths of six blocks, as tar", dags.tree_of_directories, "tar")
_bomb("content: 5,000 directories deep, as tar", dags.chain, "tar")


@attack(UPLOADER, "content: `get` of each bomb ends with an error, soon")
def get_bombs(arena: Arena) -> Iterator[None]:
    peer = arena.standing[0]
    for make in (dags.nested_shards, dags.many_names, dags.tree_of_directories):
        root = take(peer, make())
        output = arena.cluster.directory.parent / f"out-{root[-6:]}"
        got = _get(peer, root, output)
        if got.code == 0 or "Traceback" in got.error:
            raise BrokeError(f"`get` of {root} ended with {got.code}: {got.error[-300:]}")
        if output.exists():
            raise BrokeError(f"`get` left something of {root}")
        if got.seconds > GET_MAX_S or got.resident_bytes > GET_MAX_BYTES:
            used = f"{got.seconds:.1f} s and {got.resident_bytes / 1e6:.0f} MB"
            raise BrokeError(f"`get` of {root} took {used}")
    yield


@dataclass(frozen=True, slots=True)
class _Got:
    """How a `get` ended, and what it took."""

    code: int
    error: str
    seconds: float
    resident_bytes: int


def _get(peer: Peer, root: str, output: Path) -> _Got:
    begin_s = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "bftcluster_cli", "get", root, "--output", str(output)],
            env=environment() | {"BFTCLUSTER_API": peer.url},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        pid = 0
        while not pid:
            pause(0.02)
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if not pid and time.monotonic() - begin_s > 4 * GET_MAX_S:
                process.kill()
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        error = errors.read().decode(errors="replace")
    seconds = time.monotonic() - begin_s
    return _Got(process.returncode, error, seconds, usage.ru_maxrss * 1024)


_NAMES: dict[str, tuple[tuple[str, bytes | None], ...]] = {
    "names that climb out": (("../climb", None),),
    "an absolute name": (("/tmp/bftcluster-absolute", None),),
    "the names . and ..": ((".", None), ("..", None)),
    "a slash within a name": (("a/b", None),),
    "a name with a zero byte": (("a\0b", None),),
    "one name twice": (("a", None), ("a", None)),
    "a link to the root of the disk": (("a", b"/etc"),),
    "a link that climbs out": (("a", b"../../../../etc"),),
    "a link, and a file through it": (("a", b"/etc"), ("a", None)),
}


def _names(name: str, entries: tuple[tuple[str, bytes | None], ...]) -> None:
    @attack(UPLOADER, f"tar: {name}")
    def hostile_names(arena: Arena) -> Iterator[None]:
        peer = arena.standing[0]
        root = take(peer, dags.named(*entries))
        answer = httpx.get(f"{peer.url}/content/{root}?format=tar", timeout=20, trust_env=False)
        if answer.status_code == 200:
            _check_tar(answer.content)
        output = arena.cluster.directory.parent / "taken"
        got = _get(peer, root, output)
        if "Traceback" in got.error or (got.code != 0 and os.path.lexists(output)):
            raise BrokeError(f"`get` ended with {got.code}: {got.error[-300:]}")
        _check_links(output, output)
        _remove(output)
        yield


def _check_tar(data: bytes) -> None:
    """Raise ``BrokeError`` if a tar answer names anything outside its own directory."""
    seen: set[str] = set()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            path = Path(member.name)
            if path.is_absolute() or ".." in path.parts or member.name in seen:
                raise BrokeError(f"the tar names {member.name!r}")
            seen.add(member.name)
            if member.issym():
                target = os.path.normpath(path.parent / member.linkname)
                if Path(member.linkname).is_absolute() or target.startswith(".."):
                    raise BrokeError(f"the tar links to {member.linkname!r}")


def _check_links(top: Path, at: Path) -> None:
    """Raise ``BrokeError`` if a link below ``at`` leads out of ``top``."""
    if at.is_symlink():
        target = os.path.normpath(at.parent / at.readlink())
        if not Path(target).is_relative_to(top):
            raise BrokeError(f"`get` wrote a link to {at.readlink()}")
    elif at.is_dir():
        for child in at.iterdir():
            _check_links(top, child)


def _remove(output: Path) -> None:
    """Remove what `get` wrote, following nothing."""
    if output.is_symlink() or output.is_file():
        output.unlink()
    elif output.is_dir():
        for child in output.iterdir():
            _remove(child)
        output.rmdir()


for _name, _entries in _NAMES.items():
    _names(_name, _entries)


@attack(UPLOADER, "CAR: headers and sections that lie about their length")
def lying_car(arena: Arena) -> Iterator[None]:
    good = dags.named(("a", None)).car()
    for body in (b"", b"\xff" * 20, good[:-3], good[:10] + b"\x00" * 100, b"\x01" + good, good * 2):
        answer = add(arena.standing[0], multipart("x.car", body), "&format=car")
        if answer.status_code >= 500:
            raise BrokeError(f"answered with {answer.status_code}: {answer.text[:200]}")
    yield


@attack(UPLOADER, "CAR: blocks that their CIDs do not name")
def wrong_blocks(arena: Arena) -> Iterator[None]:
    car = dags.named(("a", None)).car().replace(b"pwned", b"other")
    answer = add(arena.standing[0], multipart("x.car", car), "&format=car")
    if answer.status_code not in (200, 400) or '"cid"' in answer.text:
        raise BrokeError(f"answered with {answer.status_code}: {answer.text[:200]}")
    yield


@attack(UPLOADER, "upload: 200 uploads that stop in the middle and stay")
def idle_uploads(arena: Arena) -> Iterator[None]:
    head = upload_begun("/add?format=car&no-pin=true")
    with opened(arena.standing[0], 100, head), opened(arena.standing[1], 100, head):
        yield


@attack(UPLOADER, "upload: 100 plain files that stop in the middle and stay")
def idle_files(arena: Arena) -> Iterator[None]:
    with opened(arena.standing[1], 100, upload_begun("/add?no-pin=true") + b"some"):
        yield


@attack(UPLOADER, "upload: 5,000 parts, and boundaries within boundaries")
def many_parts(arena: Arena) -> Iterator[None]:
    part = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n\r\n'
    ).encode()
    for body in (part * 5000, (f"--{BOUNDARY}\r\n" * 5000).encode(), part + b"\r\n--" * 50_000):
        answer = add(arena.standing[0], body)
        if answer.status_code >= 500 and answer.status_code not in (503, 507):
            raise BrokeError(f"answered with {answer.status_code}: {answer.text[:200]}")
    yield


@attack(UPLOADER, "upload: more than the quota")
def over_quota(arena: Arena) -> Iterator[None]:
    peer = arena.standing[2]
    head = upload_begun("/add?no-pin=true", size_bytes=1 << 33)
    part = random_bytes(1 << 20)
    with connect(peer) as one, suppress(OSError):
        one.sendall(head)
        for number in range(2 * QUOTA_BYTES >> 20):
            one.sendall(number.to_bytes(8, "big") + part[8:])
    used = int(peer.status()["storage"]["used_bytes"])
    if used > QUOTA_BYTES:
        raise BrokeError(f"{used} bytes are used of {QUOTA_BYTES}")
    yield


@attack(UPLOADER, "upload: file names that climb out")
def upload_names(arena: Arena) -> Iterator[None]:
    for name in ("../../evil", "/etc/evil", "a/../../evil", "..", "C:\\\\evil", "%2e%2e/evil"):
        answer = add(arena.standing[0], multipart(name, b"x"))
        if answer.status_code >= 500:
            raise BrokeError(f"{name!r} was answered with {answer.status_code}")
    yield


@attack(UPLOADER, "content: 60 readers of a bomb")
def crowd_of_readers(arena: Arena) -> Iterator[None]:
    root = take(arena.standing[0], dags.nested_shards())
    ask = f"GET /content/{root}?format=tar HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with opened(arena.standing[0], 60, ask):
        yield
