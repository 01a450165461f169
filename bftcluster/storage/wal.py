"""The replica's write-ahead log: what it must not forget before it tells anybody.

One file. Each append is one write and one fdatasync, and durable when it returns. ``rewrite``
replaces the file by one that holds only what still matters. The records are opaque here.

Recovery tells two kinds of damage apart (reference: CometBFT, TigerBeetle). The last append may be
torn: nobody has acted on it, so it is cut off. Anything else means that the disk lost what it had
promised to keep; a replica that went on could contradict its own votes, so it refuses to start.

What recovery found is written anew before it counts. After an fsync that failed, the kernel shows
bytes that the disk never got, and the next fsync of that file says nothing about them.
"""

import errno
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from bftcluster.errors import ConfigError, CorruptRecordError, FatalStorageError
from bftcluster.ids import ClusterId, PeerId
from bftcluster.shell_limits import WAL_FRAME_SIZE_MAX_BYTES
from bftcluster.storage.ports import Disk, LogFile
from bftcluster.storage.wal_records import (
    HEAD_SIZE_BYTES,
    HEADER_SIZE_BYTES,
    AppendPoint,
    Header,
    frame,
    is_torn_tail,
    pack,
    read_frame,
    unpack,
)

WAL_NAME: Final = "votes.wal"
_NEW_NAME: Final = "votes.wal.new"
_OWNER_TAG: Final = b"bftcluster/wal/v1\x00"
_RECORD_OVERHEAD_BYTES: Final = 4
_DAMAGE_HINT: Final = (
    "the disk lost or changed data that was already durable: check the disk, keep this file for "
    "inspection, and let the replica rejoin under a new key"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogContents:
    """What a log held when it was opened."""

    records: tuple[bytes, ...]
    """Every durable record, oldest first."""
    cut_size_bytes: int
    """Bytes of a torn last append that were cut off; 0 after a clean stop."""


class Wal:
    """An open log. One caller at a time; after an error nothing but ``close`` is allowed."""

    def __init__(self, disk: Disk, file: LogFile, header: Header, place: AppendPoint) -> None:
        self._disk = disk
        self._file = file
        self._header = header
        self._place = place
        self._failed = False

    @classmethod
    def create(cls, disk: Disk, *, cluster: ClusterId, peer: PeerId, nonce: bytes) -> "Wal":
        """Start an empty log.

        Args:
            disk: Where; the file is ``WAL_NAME``.
            cluster: Bound into the file, so that it opens for no other cluster.
            peer: Likewise.
            nonce: 16 random bytes, new for each call.

        Raises:
            ConfigError: There is a log already.
            FatalStorageError: The disk refused.
        """
        if disk.exists(WAL_NAME):
            raise ConfigError(
                f"{WAL_NAME} exists already",
                hint="a replica that starts afresh under its old key may contradict its votes",
            )
        owner = _owner(cluster, peer)
        header = Header(generation=0, sealed_size_bytes=HEADER_SIZE_BYTES, nonce=nonce, owner=owner)
        with _fatal("create"):
            file, place = _replace(disk, header, ())
        return cls(disk, file, header, place)

    @classmethod
    def open(
        cls, disk: Disk, *, cluster: ClusterId, peer: PeerId, nonce: bytes
    ) -> tuple["Wal", LogContents]:
        """Return the log, written anew, and what it holds but for a torn last append.

        Args:
            disk: Where.
            cluster: Whose log it has to be.
            peer: Likewise.
            nonce: 16 random bytes, new for each call.

        Raises:
            ConfigError: No log is there, or it belongs to another cluster or peer.
            SchemaVersionError: Another version wrote it.
            CorruptRecordError: Damaged anywhere but in its last append.
            FatalStorageError: The disk refused.
        """
        with _fatal("read"):
            if not disk.exists(WAL_NAME):
                raise ConfigError(
                    f"{WAL_NAME} is missing",
                    hint="restore the data directory, or join again under a new key: "
                    "without its log the replica may contradict its votes",
                )
            data = disk.read(WAL_NAME)
        header = _read_header(data)
        if header.owner != _owner(cluster, peer):
            raise ConfigError(
                f"{WAL_NAME} belongs to another cluster or peer",
                hint="run the peer on the directory that it was set up in",
            )
        records, place = _read_frames(data, header)
        with _fatal("open"):
            file, header, place_now = _renew(disk, header, records, nonce)
        recovery = LogContents(records=tuple(records), cut_size_bytes=len(data) - place.offset)
        return cls(disk, file, header, place_now), recovery

    @property
    def size_bytes(self) -> int:
        """How long the file is: when to ``rewrite`` is the caller's choice."""
        return self._place.offset

    @property
    def generation(self) -> int:
        """How often it was rewritten."""
        return self._header.generation

    def append(self, records: Sequence[bytes]) -> None:
        """Return when ``records`` are durable: one write, one fdatasync for all of them.

        Raises:
            FatalStorageError: They may or may not be. Stop the process.
        """
        assert not self._failed, "a log that failed once takes no more"
        if not records:
            return
        body = pack(records)
        with self._fail_for_good("append to"):
            self._file.append(frame(self._place, body))
            self._file.sync()
        self._place = self._place.after(body)

    def rewrite(self, records: Sequence[bytes], *, nonce: bytes) -> None:
        """Return when the log durably holds exactly ``records``; a crash leaves the old or the new.

        Args:
            records: What still matters, oldest first.
            nonce: 16 random bytes, new for each call.

        Raises:
            FatalStorageError: The disk refused. Stop the process.
        """
        assert not self._failed, "a log that failed once takes no more"
        with self._fail_for_good("rewrite"):
            file, header, place = _renew(self._disk, self._header, records, nonce)
            old, self._file = self._file, file
            old.close()
        self._header, self._place = header, place

    def close(self) -> None:
        """Release the file; everything appended is durable already."""
        self._file.close()

    @contextmanager
    def _fail_for_good(self, action: str) -> Iterator[None]:
        self._failed = True
        with _fatal(action):
            yield
        self._failed = False


def _owner(cluster: ClusterId, peer: PeerId) -> bytes:
    return hashlib.sha256(_OWNER_TAG + cluster + peer).digest()


def _read_header(data: bytes) -> Header:
    try:
        return Header.from_bytes(data)
    except CorruptRecordError as exc:
        raise CorruptRecordError(f"{WAL_NAME}: {exc}", hint=_DAMAGE_HINT) from None


def _read_frames(data: bytes, header: Header) -> tuple[list[bytes], AppendPoint]:
    records: list[bytes] = []
    place = AppendPoint.first(header)
    while place.offset < len(data):
        body = read_frame(data, place)
        if body is None:
            break
        records.extend(unpack(body))
        place = place.after(body)
    if place.offset < header.sealed_size_bytes or not (
        place.offset == len(data) or is_torn_tail(data, place)
    ):
        raise CorruptRecordError(
            f"{WAL_NAME}: damaged at byte {place.offset} of {len(data)}", hint=_DAMAGE_HINT
        )
    return records, place


def _renew(
    disk: Disk, old: Header, records: Sequence[bytes], nonce: bytes
) -> tuple[LogFile, Header, AppendPoint]:
    """Replace the log with the header ``old`` by one that holds ``records``."""
    assert nonce != old.nonce, "each file has its own nonce"
    bodies = [pack(group) for group in _groups(records)]
    size_bytes = HEADER_SIZE_BYTES + sum(HEAD_SIZE_BYTES + len(body) for body in bodies)
    header = Header(
        generation=old.generation + 1,
        sealed_size_bytes=size_bytes,
        nonce=nonce,
        owner=old.owner,
    )
    file, place = _replace(disk, header, bodies)
    return file, header, place


def _replace(disk: Disk, header: Header, bodies: Sequence[bytes]) -> tuple[LogFile, AppendPoint]:
    """Write a whole log under another name, make it durable, then give it the name."""
    file = disk.create(_NEW_NAME)
    place = AppendPoint.first(header)
    file.append(header.to_bytes())
    for body in bodies:
        file.append(frame(place, body))
        place = place.after(body)
    assert place.offset == header.sealed_size_bytes, "the header says how much is sealed"
    file.sync()
    disk.rename(_NEW_NAME, WAL_NAME)
    disk.sync_directory()
    return file, place


def _groups(records: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Cut ``records`` into runs that each fit one frame."""
    start = size = 0
    for index, record in enumerate(records):
        if size + len(record) + _RECORD_OVERHEAD_BYTES > WAL_FRAME_SIZE_MAX_BYTES:
            yield records[start:index]
            start, size = index, 0
        size += len(record) + _RECORD_OVERHEAD_BYTES
    if start < len(records):
        yield records[start:]


@contextmanager
def _fatal(action: str) -> Iterator[None]:
    """Turn what the disk says into the error that stops the process."""
    try:
        yield
    except OSError as exc:
        full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
        raise FatalStorageError(
            f"cannot {action} the write-ahead log: {exc.strerror or exc}",
            hint="free some space, then start the peer again"
            if full
            else "check the disk (dmesg, smartctl) before you start the peer again",
        ) from exc
