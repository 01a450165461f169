"""A disk that keeps its promises only as far as real ones do, and breaks them on request.

Implements ``bftcluster.storage.ports.Disk``. At a power cut everything that was not synced may be
gone, whole, torn, or full of noise. A call can fail; after an fsync that did, its bytes are shown
until the next power cut, and later ones succeed without them (Rebello et al., ATC'20). A bad disk
also lies about what it had acknowledged.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from random import Random

SECTOR_SIZE_BYTES = 512
_NEEDS_SPACE = ("create", "append", "commit")


class WriteLoss(Enum):
    """What a power cut leaves of bytes that were not synced."""

    ALL = "nothing of it arrived"
    NONE = "all of it arrived"
    TORN = "a prefix of it arrived"
    SECTORS = "some sectors of it arrived, the others hold noise"


class Lie(Enum):
    """What a bad disk does to bytes that it acknowledged as durable."""

    ROT = "a bit flips"
    LOST = "a synced append never happened"
    MISDIRECTED = "a sector went to the wrong place"
    ROLLBACK = "the whole disk is as it was some time ago"


@dataclass(slots=True)
class Failure:
    """An error that a disk is about to return."""

    code: int
    """``errno.EIO``, once, in whatever call; or ``errno.ENOSPC``, in each that needs space."""
    calls_left: int = 0
    """Calls that still go well."""


@dataclass(slots=True)
class _Inode:
    data: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    holes: list[tuple[int, int]] = field(default_factory=list)
    """From where to where an fsync failed: the disk has zeros there, whatever can be read."""

    def on_disk(self) -> bytearray:
        """Return what would be there if everything were written that is still going to be."""
        data = bytearray(self.data)
        for start, end in self.holes:
            data[start:end] = bytes(end - start)
        return data


class SimDisk:
    """One directory in memory."""

    def __init__(self, before_call: Callable[[str], None] = lambda _name: None) -> None:
        self.before_call = before_call
        """Called before each call that changes something; may raise to crash there."""
        self.failure: Failure | None = None
        self.on_failure: Callable[[], None] = lambda: None
        """Called when a call fails."""
        self._entries: dict[str, _Inode] = {}
        self._synced_entries: dict[str, _Inode] = {}
        self._old: dict[str, bytes] | None = None

    def exists(self, name: str) -> bool:
        """See ``Disk``."""
        return name in self._entries

    def read(self, name: str) -> bytes:
        """See ``Disk``."""
        return bytes(self._entries[name].data)

    def create(self, name: str) -> "SimFile":
        """See ``Disk``."""
        self.call("create")
        self._entries[name] = _Inode()
        return SimFile(self, self._entries[name])

    def rename(self, source: str, target: str) -> None:
        """See ``Disk``."""
        self.call("rename")
        self._entries[target] = self._entries.pop(source)

    def sync_directory(self) -> None:
        """See ``Disk``."""
        self.call("sync directory")
        self._synced_entries = dict(self._entries)

    def call(self, name: str) -> None:
        """Let a call happen, unless it is one that fails.

        Raises:
            OSError: It is.
        """
        self.before_call(name)
        failure = self.failure
        if failure is None or (failure.code == errno.ENOSPC and name not in _NEEDS_SPACE):
            return
        if failure.calls_left:
            failure.calls_left -= 1
            return
        if failure.code != errno.ENOSPC:
            self.failure = None
        self.on_failure()
        raise OSError(failure.code, os.strerror(failure.code))

    def remember(self) -> None:
        """Take the snapshot that ``Lie.ROLLBACK`` goes back to."""
        self._old = {name: inode.synced for name, inode in self._synced_entries.items()}

    def cut_power(self, loss: WriteLoss, random: Random) -> None:
        """Leave what the next boot finds."""
        keeps_entries = loss is WriteLoss.NONE or (
            loss is not WriteLoss.ALL and random.random() < 0.5
        )
        entries = self._entries if keeps_entries else self._synced_entries
        self._entries = {name: _survivor(inode, loss, random) for name, inode in entries.items()}
        self._synced_entries = dict(self._entries)

    def lie(self, lie: Lie, random: Random) -> None:
        """Break a promise, while no process runs."""
        if lie is Lie.ROLLBACK:
            if self._old is not None:
                self._entries = {
                    name: _Inode(bytearray(data), data) for name, data in self._old.items()
                }
                self._synced_entries = dict(self._entries)
            return
        for name in sorted(self._entries):
            data = self._entries[name].data
            _damage(data, lie, random)
            self._entries[name].synced = bytes(data)


class SimFile:
    """A file of a ``SimDisk``; implements ``LogFile``."""

    __slots__ = ("_disk", "_inode")

    def __init__(self, disk: SimDisk, inode: _Inode) -> None:
        self._disk = disk
        self._inode = inode

    def append(self, data: bytes) -> None:
        """See ``LogFile``."""
        try:
            self._disk.call("append")
        except OSError:
            self._inode.data += data[: len(data) // 2]
            raise
        self._inode.data += data

    def sync(self) -> None:
        """See ``LogFile``."""
        inode = self._inode
        try:
            self._disk.call("sync")
        except OSError:
            inode.holes.append((len(inode.synced), len(inode.data)))
            raise
        inode.synced = bytes(inode.on_disk())

    def close(self) -> None:
        """See ``LogFile``."""


def _survivor(inode: _Inode, loss: WriteLoss, random: Random) -> _Inode:
    data, synced = inode.on_disk(), inode.synced
    if loss is WriteLoss.ALL or not data.startswith(synced):
        data = bytearray(synced)
    elif loss is WriteLoss.TORN:
        del data[random.randint(len(synced), len(data)) :]
    elif loss is WriteLoss.SECTORS:
        for start in range(len(synced), len(data), SECTOR_SIZE_BYTES):
            end = min(start + SECTOR_SIZE_BYTES, len(data))
            if random.random() < 0.5:
                data[start:end] = random.randbytes(end - start)
    return _Inode(data, bytes(data))


def _damage(data: bytearray, lie: Lie, random: Random) -> None:
    if len(data) < 2 * SECTOR_SIZE_BYTES:
        return
    match lie:
        case Lie.ROT:
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        case Lie.LOST:
            del data[random.randrange(SECTOR_SIZE_BYTES, len(data)) :]
        case Lie.MISDIRECTED:
            sectors = range(0, len(data) - SECTOR_SIZE_BYTES + 1, SECTOR_SIZE_BYTES)
            source, target = random.sample(sectors, 2)
            data[target : target + SECTOR_SIZE_BYTES] = data[source : source + SECTOR_SIZE_BYTES]
        case _:
            raise AssertionError("a rollback is of the whole disk")
