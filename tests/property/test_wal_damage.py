"""Whatever a disk does to a log, it opens with a prefix of what was written, or refuses."""

from hypothesis import given, settings
from hypothesis import strategies as st

from bftcluster.errors import ConfigError, CorruptRecordError, SchemaVersionError
from bftcluster.ids import ClusterId, PeerId
from bftcluster.storage.wal import WAL_NAME, Wal
from tests.unit.storage.crash_disk import CrashDisk

CLUSTER = ClusterId(b"c" * 32)
PEER = PeerId(b"p" * 32)
APPENDS = st.lists(st.lists(st.binary(max_size=60), min_size=1, max_size=4), max_size=6)


def written(appends: list[list[bytes]]) -> tuple[CrashDisk, list[int]]:
    """Return a disk with a log, and where each append ended."""
    disk = CrashDisk()
    wal = Wal.create(disk, cluster=CLUSTER, peer=PEER, nonce=bytes(16))
    ends = [wal.size_bytes]
    for records in appends:
        wal.append(records)
        ends.append(wal.size_bytes)
    return disk, ends


def reopen(disk: CrashDisk) -> tuple[bytes, ...]:
    return Wal.open(disk, cluster=CLUSTER, peer=PEER, nonce=b"n" * 16)[1].records


@given(appends=APPENDS)
@settings(deadline=None)
def test_what_is_written_is_read(appends: list[list[bytes]]) -> None:
    disk, _ = written(appends)

    assert reopen(disk) == tuple(record for records in appends for record in records)


@given(appends=APPENDS, data=st.data())
@settings(deadline=None)
def test_any_damage_leaves_a_prefix_of_whole_appends_or_a_refusal(
    appends: list[list[bytes]], data: st.DataObject
) -> None:
    disk, _ = written(appends)
    content = disk.entries[WAL_NAME].data
    start = data.draw(st.integers(0, len(content)))
    replacement = data.draw(st.binary(max_size=80))
    removed = data.draw(st.integers(0, 80))
    content[start : start + removed] = replacement

    try:
        found = reopen(disk)
    except (CorruptRecordError, SchemaVersionError, ConfigError):
        return

    prefixes = [
        tuple(record for records in appends[:count] for record in records)
        for count in range(len(appends) + 1)
    ]
    assert found in prefixes


@given(appends=APPENDS.filter(bool), data=st.data())
@settings(deadline=None)
def test_a_last_append_of_which_any_bytes_are_wrong_costs_only_itself(
    appends: list[list[bytes]], data: st.DataObject
) -> None:
    disk, ends = written(appends)
    content = disk.entries[WAL_NAME].data
    size = ends[-1] - ends[-2]
    tail = data.draw(st.binary(max_size=size))
    content[ends[-2] :] = tail

    found = reopen(disk)

    assert found == tuple(record for records in appends[:-1] for record in records)
