"""The parameters that decide which CID some content gets."""

from dataclasses import dataclass

from bftcluster.cid import Cid
from bftcluster.errors import UsageError
from bftcluster.shell_limits import CHUNK_SIZE_MAX_BYTES, DAG_WIDTH_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How content is cut and linked. The defaults are Kubo's with ``--cid-version=1``."""

    chunk_size_bytes: int = 256 << 10
    width: int = 174
    """Links of a file node, at most."""
    cid_version: int = 1
    raw_leaves: bool = True
    shard_threshold_bytes: int = 256 << 10
    """A directory whose names and CIDs together are larger becomes a HAMT (Kubo >= 0.12)."""

    def __post_init__(self) -> None:
        if not 1 <= self.chunk_size_bytes <= CHUNK_SIZE_MAX_BYTES:
            raise UsageError(
                f"a chunk size of {self.chunk_size_bytes} bytes",
                hint=f"chunks are 1 to {CHUNK_SIZE_MAX_BYTES} bytes",
            )
        if not 2 <= self.width <= DAG_WIDTH_MAX:
            raise UsageError(f"a DAG width of {self.width}", hint=f"2 to {DAG_WIDTH_MAX} links")
        if self.cid_version not in (0, 1):
            raise UsageError(f"CID version {self.cid_version}", hint="there are 0 and 1")


KUBO_V0 = Layout(cid_version=0, raw_leaves=False)
"""What ``ipfs add`` does without options (profile ``unixfs-v0-2015``)."""

UNIXFS_V1_2025 = Layout(chunk_size_bytes=1 << 20, width=1024)
"""The profile ``unixfs-v1-2025`` of IPIP-499."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DagEntry:
    """A built file, directory or symbolic link: what its parent needs to know."""

    cid: Cid
    size_bytes: int
    """Content bytes; of a directory, those of everything in it."""
    tsize: int
    """Bytes of all its blocks, shared ones counted each time."""
