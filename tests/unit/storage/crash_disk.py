"""A disk in memory that loses, at a power cut, what was not synced, in the way a test picks."""

import errno
import random
from dataclasses import dataclass, field
from enum import Enum, auto


class PowerCut(BaseException):
    """The machine stops in the middle of a call."""


class Loss(Enum):
    """What a power cut leaves of the bytes and entries that were not synced."""

    ALL = auto()
    NOTHING = auto()
    SUFFIX = auto()
    """A prefix of the unsynced bytes arrived."""
    GARBAGE = auto()
    """The size arrived, some of the bytes did not, and the gap holds noise."""
    ZEROS = auto()
    """The size arrived, some 512-byte sectors did not, and read as zeros."""


@dataclass
class Inode:
    data: bytearray = field(default_factory=bytearray)
    synced: bytes = b""

    def after(self, loss: Loss, rng: random.Random) -> "Inode":
        """Return what the next boot finds."""
        data = bytearray(self.data)
        start = len(self.synced)
        if loss is Loss.ALL or not data.startswith(self.synced):
            data = bytearray(self.synced)
        elif loss is Loss.SUFFIX:
            del data[rng.randint(start, len(data)) :]
        elif loss in (Loss.GARBAGE, Loss.ZEROS):
            for sector in range(start, len(data), 512):
                if rng.random() < 0.5:
                    end = min(sector + 512, len(data))
                    size = end - sector
                    data[sector:end] = bytes(size) if loss is Loss.ZEROS else rng.randbytes(size)
        return Inode(data=data, synced=bytes(data))


class CrashDisk:
    """Implements ``Disk``. ``calls_left`` counts down on every call; at zero the power is cut."""

    def __init__(self, calls_left: int = 1 << 30) -> None:
        self.calls_left = calls_left
        self.entries: dict[str, Inode] = {}
        self.synced_entries: dict[str, Inode] = {}
        self.failing: dict[str, OSError] = {}
        self.trace: list[str] = []

    def reboot(self, loss: Loss, seed: int = 0) -> "CrashDisk":
        """Return the disk that the next process finds."""
        rng = random.Random(seed)
        keep = loss is Loss.NOTHING or (loss is not Loss.ALL and rng.random() < 0.5)
        disk = CrashDisk()
        for name, inode in (self.entries if keep else self.synced_entries).items():
            disk.entries[name] = inode.after(loss, rng)
        disk.synced_entries = dict(disk.entries)
        return disk

    def call(self, name: str) -> None:
        if name in self.failing:
            raise self.failing[name]
        if self.calls_left == 0:
            raise PowerCut(name)
        self.calls_left -= 1
        self.trace.append(name)

    def exists(self, name: str) -> bool:
        return name in self.entries

    def read(self, name: str) -> bytes:
        self.call("read")
        return bytes(self.entries[name].data)

    def create(self, name: str) -> "CrashFile":
        self.call("create")
        self.entries[name] = Inode()
        return CrashFile(self, self.entries[name])

    def rename(self, source: str, target: str) -> None:
        self.call("rename")
        self.entries[target] = self.entries.pop(source)

    def sync_directory(self) -> None:
        self.call("sync_directory")
        self.synced_entries = dict(self.entries)


class CrashFile:
    def __init__(self, disk: CrashDisk, inode: Inode) -> None:
        self.disk = disk
        self.inode = inode

    def append(self, data: bytes) -> None:
        if self.disk.calls_left == 0:
            self.inode.data += data
        self.disk.call("append")
        self.inode.data += data

    def sync(self) -> None:
        self.disk.call("sync")
        self.inode.synced = bytes(self.inode.data)

    def close(self) -> None:
        self.disk.call("close")


def io_error(code: int = errno.EIO) -> OSError:
    return OSError(code, "input/output error" if code == errno.EIO else "no space left on device")
