"""The write-ahead log: durable on return, mended only where nobody can have acted."""

import errno
from collections.abc import Callable
from random import Random

import pytest

from bftcluster.errors import (
    ConfigError,
    CorruptRecordError,
    FatalStorageError,
    SchemaVersionError,
)
from bftcluster.ids import ClusterId, PeerId
from bftcluster.storage.ports import Disk
from bftcluster.storage.wal import WAL_NAME, LogContents, Wal
from bftcluster.storage.wal_records import HEAD_SIZE_BYTES, HEADER_SIZE_BYTES
from bftcluster_sim.cluster.peers.disks import Failure, SimDisk
from bftcluster_sim.cluster.peers.disks import WriteLoss as SimLoss
from tests.unit.storage.crash_disk import CrashDisk, Loss, PowerCut, io_error

CLUSTER = ClusterId(b"c" * 32)
PEER = PeerId(b"p" * 32)


def nonce(number: int) -> bytes:
    return number.to_bytes(16, "big")


def new_wal(disk: CrashDisk) -> Wal:
    return Wal.create(disk, cluster=CLUSTER, peer=PEER, nonce=nonce(1))


def reopen(disk: Disk, number: int = 100) -> tuple[Wal, LogContents]:
    return Wal.open(disk, cluster=CLUSTER, peer=PEER, nonce=nonce(number))


def written(*appends: tuple[bytes, ...]) -> CrashDisk:
    disk = CrashDisk()
    wal = new_wal(disk)
    for records in appends:
        wal.append(records)
    return disk


def test_what_was_appended_is_there_after_the_worst_power_cut() -> None:
    disk = written((b"one", b""), (b"three",))

    _, recovery = reopen(disk.reboot(Loss.ALL))

    assert recovery == LogContents(records=(b"one", b"", b"three"), cut_size_bytes=0)


def test_one_append_of_many_records_is_one_write_and_one_sync() -> None:
    disk = CrashDisk()
    wal = new_wal(disk)
    disk.trace.clear()

    wal.append([b"a"] * 100)

    assert disk.trace == ["append", "sync"]


def test_appending_nothing_does_not_touch_the_disk() -> None:
    disk = CrashDisk()
    wal = new_wal(disk)
    disk.trace.clear()

    wal.append([])

    assert disk.trace == []


def test_a_log_goes_on_where_it_stopped() -> None:
    disk = written((b"one",)).reboot(Loss.ALL)
    wal, _ = reopen(disk)
    wal.append([b"two"])

    _, recovery = reopen(disk.reboot(Loss.ALL), 101)

    assert recovery.records == (b"one", b"two")


def test_rewrite_leaves_only_what_still_matters() -> None:
    disk = CrashDisk()
    wal = new_wal(disk)
    wal.append([b"old"] * 1000)
    size_before = wal.size_bytes

    wal.rewrite([b"kept"], nonce=nonce(2))
    wal.append([b"new"])

    after, recovery = reopen(disk.reboot(Loss.ALL))
    assert recovery.records == (b"kept", b"new")
    assert wal.size_bytes < size_before
    assert after.generation == wal.generation + 1 == 2


def test_a_rewrite_larger_than_a_frame_uses_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bftcluster.storage.wal.WAL_FRAME_SIZE_MAX_BYTES", 30)
    disk = CrashDisk()
    wal = new_wal(disk)
    records = [bytes([n]) * 10 for n in range(7)]

    wal.rewrite(records, nonce=nonce(2))

    assert reopen(disk.reboot(Loss.ALL))[1].records == tuple(records)
    assert wal.size_bytes == HEADER_SIZE_BYTES + 4 * HEAD_SIZE_BYTES + 7 * 14


@pytest.mark.parametrize("cut", range(1, HEAD_SIZE_BYTES + 4 + 3 + 1))
def test_a_torn_last_append_is_cut_off_at_every_length(cut: int) -> None:
    disk = written((b"one",), (b"two",))
    del disk.entries[WAL_NAME].data[-cut:]

    wal, recovery = reopen(disk)

    assert recovery.records == (b"one",)
    assert recovery.cut_size_bytes == HEAD_SIZE_BYTES + 4 + 3 - cut
    wal.append([b"three"])
    assert reopen(disk.reboot(Loss.ALL), 101)[1].records == (b"one", b"three")


def test_a_flipped_bit_anywhere_but_in_the_last_append_is_refused() -> None:
    disk = written((b"one",), (b"two",), (b"last",))
    data = disk.entries[WAL_NAME].data
    last = len(data) - HEAD_SIZE_BYTES - 4 - 4
    for offset in range(last):
        data[offset] ^= 0x10
        with pytest.raises((CorruptRecordError, SchemaVersionError)) as refusal:
            reopen(disk)
        assert refusal.value.hint
        data[offset] ^= 0x10
    assert reopen(disk)[1].records == (b"one", b"two", b"last")


def test_a_flipped_bit_in_the_last_append_never_yields_a_wrong_record() -> None:
    disk = written((b"one",), (b"last",))
    data = disk.entries[WAL_NAME].data
    for offset in range(len(data) - HEAD_SIZE_BYTES - 8, len(data)):
        mended = disk.reboot(Loss.NOTHING)
        mended.entries[WAL_NAME].data[offset] ^= 0x01
        assert reopen(mended)[1].records == (b"one",)


def test_damage_before_a_torn_append_is_refused_although_nothing_whole_follows() -> None:
    disk = written((b"one",), (b"two",), (b"torn",))
    data = disk.entries[WAL_NAME].data
    del data[-HEAD_SIZE_BYTES:]
    data[HEADER_SIZE_BYTES + 2 * (HEAD_SIZE_BYTES + 7) - 1] ^= 1

    with pytest.raises(CorruptRecordError):
        reopen(disk)


def test_damage_in_what_a_rewrite_sealed_is_refused_even_at_the_end() -> None:
    disk = CrashDisk()
    new_wal(disk).rewrite([b"kept"], nonce=nonce(2))
    disk.entries[WAL_NAME].data[-1] ^= 1

    with pytest.raises(CorruptRecordError):
        reopen(disk)


def damage_swap(data: bytearray, size: int) -> None:
    first = HEADER_SIZE_BYTES
    one, two = data[first : first + size], data[first + size : first + 2 * size]
    data[first : first + 2 * size] = two + one


def damage_lost_write(data: bytearray, size: int) -> None:
    data[HEADER_SIZE_BYTES : HEADER_SIZE_BYTES + size] = bytes(size)


def damage_misdirected_write(data: bytearray, size: int) -> None:
    first = HEADER_SIZE_BYTES
    data[first : first + size] = data[first + size : first + 2 * size]


def damage_missing_frame(data: bytearray, size: int) -> None:
    del data[HEADER_SIZE_BYTES : HEADER_SIZE_BYTES + size]


@pytest.mark.parametrize("damage", [damage_swap, damage_lost_write, damage_misdirected_write])
def test_a_disk_that_loses_or_misplaces_a_frame_is_refused(
    damage: Callable[[bytearray, int], None],
) -> None:
    disk = written((b"one",), (b"two",), (b"six",))
    damage(disk.entries[WAL_NAME].data, HEAD_SIZE_BYTES + 4 + 3)

    with pytest.raises(CorruptRecordError):
        reopen(disk)


def test_a_frame_of_an_earlier_file_in_the_same_place_is_not_ours() -> None:
    disk = written((b"one",), (b"two",))
    stale = disk.entries[WAL_NAME].data[HEADER_SIZE_BYTES:]
    other = CrashDisk()
    wal = Wal.create(other, cluster=CLUSTER, peer=PEER, nonce=nonce(9))
    wal.append([b"xxx"])
    other.entries[WAL_NAME].data += stale[HEAD_SIZE_BYTES + 7 :]

    _, recovery = reopen(other)

    assert recovery.records == (b"xxx",)


def test_bytes_of_a_peer_that_look_like_a_frame_do_not_stop_the_repair() -> None:
    lookalike = bytes(written((b"evil",)).entries[WAL_NAME].data)
    disk = written((b"one",), (lookalike * 3,))
    del disk.entries[WAL_NAME].data[-5:]
    disk.entries[WAL_NAME].data[-200] ^= 1

    assert reopen(disk)[1].records == (b"one",)


def test_a_tail_longer_than_one_append_can_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = written((b"one",))
    disk.entries[WAL_NAME].data += bytes(200)
    monkeypatch.setattr("bftcluster.storage.wal_records.WAL_FRAME_SIZE_MAX_BYTES", 100)

    with pytest.raises(CorruptRecordError):
        reopen(disk)


def test_another_peer_or_cluster_is_refused() -> None:
    disk = written((b"one",))

    with pytest.raises(ConfigError, match="another cluster or peer"):
        Wal.open(disk, cluster=CLUSTER, peer=PeerId(b"q" * 32), nonce=nonce(2))
    with pytest.raises(ConfigError, match="another cluster or peer"):
        Wal.open(disk, cluster=ClusterId(b"d" * 32), peer=PEER, nonce=nonce(2))


def test_a_missing_log_is_not_an_empty_one() -> None:
    with pytest.raises(ConfigError, match="is missing"):
        reopen(CrashDisk())


def test_a_log_is_never_created_over_another() -> None:
    disk = written((b"one",))

    with pytest.raises(ConfigError, match="exists already"):
        new_wal(disk)


def test_another_version_says_so() -> None:
    disk = written()
    disk.entries[WAL_NAME].data[9] += 1

    with pytest.raises(SchemaVersionError, match="version 2"):
        reopen(disk)


def test_something_else_under_the_name_is_refused() -> None:
    disk = written()
    disk.entries[WAL_NAME].data[:8] = b"SQLite f"

    with pytest.raises(CorruptRecordError, match="not a write-ahead log"):
        reopen(disk)


@pytest.mark.parametrize("call", ["append", "sync"])
def test_a_failed_append_is_fatal_and_never_retried(call: str) -> None:
    disk = CrashDisk()
    wal = new_wal(disk)
    disk.failing[call] = io_error()

    with pytest.raises(FatalStorageError, match="input/output error"):
        wal.append([b"one"])
    disk.failing.clear()
    with pytest.raises(AssertionError):
        wal.append([b"one"])
    with pytest.raises(AssertionError):
        wal.rewrite([], nonce=nonce(2))
    wal.close()


@pytest.mark.parametrize("call", ["create", "append", "sync", "rename", "sync_directory", "close"])
def test_a_failed_rewrite_is_fatal(call: str) -> None:
    disk = CrashDisk()
    wal = new_wal(disk)
    wal.append([b"one"])
    disk.failing[call] = io_error()

    with pytest.raises(FatalStorageError):
        wal.rewrite([b"one"], nonce=nonce(2))

    assert reopen(disk.reboot(Loss.ALL))[1].records == (b"one",)


def test_what_a_failed_sync_left_to_be_read_is_durable_before_it_counts() -> None:
    disk = SimDisk()
    wal = Wal.create(disk, cluster=CLUSTER, peer=PEER, nonce=nonce(1))
    wal.append([b"one"])
    disk.failure = Failure(errno.EIO, calls_left=1)
    with pytest.raises(FatalStorageError):
        wal.append([b"two"])

    wal, found = reopen(disk)
    wal.append([b"three"])

    disk.cut_power(SimLoss.ALL, Random(0))
    assert reopen(disk, 101)[1].records == (*found.records, b"three")


def test_a_full_disk_says_what_to_do() -> None:
    disk = CrashDisk()
    wal = new_wal(disk)
    disk.failing["append"] = io_error(errno.ENOSPC)

    with pytest.raises(FatalStorageError, match="no space left") as refusal:
        wal.append([b"one"])

    assert "free some space" in refusal.value.hint


@pytest.mark.parametrize("call", ["read", "create", "append", "sync", "rename", "sync_directory"])
def test_a_disk_that_fails_at_opening_is_fatal(call: str) -> None:
    disk = written((b"one",), (b"two",))
    del disk.entries[WAL_NAME].data[-1]
    disk.failing[call] = io_error()

    with pytest.raises(FatalStorageError):
        reopen(disk)


def life(disk: CrashDisk, done: list[tuple[bytes, ...]]) -> None:
    """Write, rewrite, restart; note after each call what must now survive."""
    wal = new_wal(disk)
    done.append(())
    wal.append([b"a", b"b" * 700])
    done.append((b"a", b"b" * 700))
    wal.append([b"c" * 2000])
    done.append((b"a", b"b" * 700, b"c" * 2000))
    wal.rewrite([b"c" * 2000, b"d"], nonce=nonce(2))
    done.append((b"c" * 2000, b"d"))
    wal.append([b"e"])
    done.append((b"c" * 2000, b"d", b"e"))
    wal.close()
    wal, recovery = reopen(disk)
    assert recovery.records == done[-1]
    wal.append([b"f" * 1500, b"g"])
    done.append((b"c" * 2000, b"d", b"e", b"f" * 1500, b"g"))
    wal.rewrite([], nonce=nonce(3))
    done.append(())
    wal.close()


def test_a_power_cut_at_any_call_loses_nothing_acknowledged() -> None:
    whole: list[tuple[bytes, ...]] = []
    disk = CrashDisk()
    life(disk, whole)
    calls = len(disk.trace)
    assert calls > 30

    for calls_left in range(calls):
        for loss in Loss:
            for seed in range(6):
                check_power_cut(whole, calls_left, loss, seed)


def check_power_cut(whole: list[tuple[bytes, ...]], calls_left: int, loss: Loss, seed: int) -> None:
    disk, done = CrashDisk(calls_left), []
    with pytest.raises(PowerCut):
        life(disk, done)
    rebooted = disk.reboot(loss, seed)
    if not done and not rebooted.exists(WAL_NAME):
        return

    wal, recovery = reopen(rebooted, 200)

    allowed = [whole[max(len(done) - 1, 0)], whole[min(len(done), len(whole) - 1)]]
    assert recovery.records in allowed, (calls_left, loss, seed)
    wal.append([b"next"])
    assert reopen(rebooted.reboot(Loss.ALL), 201)[1].records == (*recovery.records, b"next")
