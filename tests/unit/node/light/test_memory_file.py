"""What a light peer knows is on its disk whole, or counts as nothing."""

from pathlib import Path

from bftcluster.ids import ClusterId, PeerId
from bftcluster.light.light_memory import LightMemory
from bftcluster.node.light.memory_file import MemoryFile

KNOWN = LightMemory(
    cluster_id=ClusterId(b"c" * 32), peer=PeerId(b"p" * 32), links=(b"link",), duty_rows=(b"row",)
)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    file = MemoryFile(tmp_path)
    assert file.load() is None

    file.save(KNOWN)

    assert MemoryFile(tmp_path).load() == KNOWN
    assert [path.name for path in tmp_path.iterdir()] == ["light.cbor"]


def test_a_damaged_file_counts_as_none(tmp_path: Path) -> None:
    MemoryFile(tmp_path).save(KNOWN)
    path = tmp_path / "light.cbor"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)

    assert MemoryFile(tmp_path).load() is None
    path.write_bytes(data[:20])
    assert MemoryFile(tmp_path).load() is None
