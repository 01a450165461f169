"""A disk keeps what was synced, loses what was not, and lies only when told to."""

import errno
from collections.abc import Iterator
from random import Random

import pytest

from bftcluster_sim.cluster.peers.disks import (
    SECTOR_SIZE_BYTES,
    Failure,
    Lie,
    SimDisk,
    SimFile,
    WriteLoss,
)

SYNCED = b"s" * 100
UNSYNCED = b"u" * (3 * SECTOR_SIZE_BYTES)
DURABLE = bytes(range(256)) * 16
"""8 sectors: enough for every lie, and no two bytes in a row alike."""


def randoms() -> Iterator[Random]:
    return (Random(seed) for seed in range(50))


def synced(data: bytes = SYNCED) -> tuple[SimDisk, SimFile]:
    disk = SimDisk()
    file = disk.create("log")
    file.append(data)
    file.sync()
    disk.sync_directory()
    return disk, file


def half_written() -> SimDisk:
    disk, file = synced()
    file.append(UNSYNCED)
    return disk


def left(loss: WriteLoss) -> set[bytes]:
    """Return what a power cut leaves, over many draws."""
    return {after_power_cut(half_written(), loss, random) for random in randoms()}


def after_power_cut(disk: SimDisk, loss: WriteLoss, random: Random) -> bytes:
    disk.cut_power(loss, random)
    return disk.read("log")


def test_lost_bytes_are_those_that_were_not_synced() -> None:
    assert left(WriteLoss.ALL) == {SYNCED}


def test_bytes_that_were_not_synced_may_all_be_there() -> None:
    assert left(WriteLoss.NONE) == {SYNCED + UNSYNCED}


def test_a_torn_write_leaves_a_prefix_of_any_length() -> None:
    found = left(WriteLoss.TORN)

    assert len(found) > 10
    assert all((SYNCED + UNSYNCED).startswith(data) for data in found)
    assert all(data.startswith(SYNCED) for data in found)


def test_some_sectors_arrive_and_the_others_hold_noise() -> None:
    found = left(WriteLoss.SECTORS)

    assert len(found) > 10
    assert all(data.startswith(SYNCED) for data in found)
    assert {len(data) for data in found} == {len(SYNCED + UNSYNCED)}
    assert any(b"u" * SECTOR_SIZE_BYTES in data and set(data) - set(b"su") for data in found)


def test_a_file_whose_directory_was_not_synced_may_be_gone() -> None:
    disk = SimDisk()
    disk.create("log").sync()

    disk.cut_power(WriteLoss.ALL, Random(0))

    assert not disk.exists("log")


def test_a_rename_that_was_not_synced_may_be_undone_and_one_that_was_stays() -> None:
    for is_synced in (False, True):
        disk = half_written()
        file = disk.create("new")
        file.append(b"new")
        file.sync()
        disk.sync_directory()
        disk.rename("new", "log")
        if is_synced:
            disk.sync_directory()

        disk.cut_power(WriteLoss.ALL, Random(0))

        assert disk.read("log") == (b"new" if is_synced else SYNCED)


def after(lie: Lie) -> set[bytes]:
    """Return what the bytes that the disk acknowledged are now, over many draws."""
    found = set()
    for random in randoms():
        disk, _ = synced(DURABLE)
        disk.lie(lie, random)
        found.add(after_power_cut(disk, WriteLoss.ALL, random))
    return found


def test_rot_flips_one_bit_of_what_was_durable() -> None:
    for data in after(Lie.ROT):
        changed = [a ^ b for a, b in zip(DURABLE, data, strict=True) if a != b]
        assert len(changed) == 1
        assert changed[0].bit_count() == 1


def test_a_lost_write_leaves_a_shorter_file_without_a_sign() -> None:
    found = after(Lie.LOST)

    assert len(found) > 10
    assert all(DURABLE.startswith(data) and len(data) < len(DURABLE) for data in found)


def test_a_misdirected_write_puts_a_sector_over_another() -> None:
    numbered = b"".join(bytes([i]) * SECTOR_SIZE_BYTES for i in range(8))
    found = set()
    for random in randoms():
        disk = SimDisk()
        file = disk.create("log")
        file.append(numbered)
        file.sync()
        disk.lie(Lie.MISDIRECTED, random)
        found.add(bytes(disk.read("log")[::SECTOR_SIZE_BYTES]))

    right = bytes(range(8))
    assert right not in found
    assert all(sum(a != b for a, b in zip(right, sectors, strict=True)) == 1 for sectors in found)


def test_a_rollback_brings_back_what_was_durable_then() -> None:
    disk = SimDisk()
    file = disk.create("log")
    file.append(SYNCED)
    file.sync()
    disk.sync_directory()
    disk.remember()
    file.append(UNSYNCED)
    file.sync()

    disk.lie(Lie.ROLLBACK, Random(0))

    assert disk.read("log") == SYNCED


@pytest.mark.parametrize("call", ["create", "append", "sync", "rename", "sync directory"])
def test_every_call_that_changes_something_can_be_the_last(call: str) -> None:
    calls: list[str] = []
    disk = SimDisk(calls.append)

    file = disk.create("log")
    file.append(b"x")
    file.sync()
    disk.rename("log", "old")
    disk.sync_directory()

    assert call in calls
    assert len(calls) == 5


def test_after_a_sync_that_failed_the_next_one_succeeds_without_the_bytes() -> None:
    disk, file = synced()
    file.append(b"lost")
    disk.failure = Failure(errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        file.sync()

    file.append(b"kept")
    file.sync()

    assert disk.read("log") == SYNCED + b"lostkept"
    disk.cut_power(WriteLoss.NONE, Random(0))
    assert disk.read("log") == SYNCED + bytes(4) + b"kept"


def test_an_append_that_failed_may_have_written_some_of_it() -> None:
    disk = SimDisk()
    file = disk.create("log")
    disk.failure = Failure(errno.EIO)

    with pytest.raises(OSError, match="Input/output error"):
        file.append(b"halfhalf")

    assert disk.read("log") == b"half"


def test_a_full_disk_refuses_what_needs_space_until_there_is_some() -> None:
    failed: list[None] = []
    disk = SimDisk()
    disk.on_failure = lambda: failed.append(None)
    file = disk.create("log")
    disk.failure = Failure(errno.ENOSPC, calls_left=1)

    file.append(b"fits")
    file.sync()
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            file.append(b"x")
    disk.failure = None
    file.append(b"y")

    assert len(failed) == 2
