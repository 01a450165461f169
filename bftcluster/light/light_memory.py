"""What a light peer keeps on its disk: whom to believe, what was proven last, what was hinted.

It is the peer's own file: what was verified before it was written is not verified again. Whoever
keeps it sees to it that a torn or damaged one is not read; without it, all is learned anew.
"""

from dataclasses import dataclass
from typing import Final

from bftcluster.ids import ClusterId, PeerId
from bftcluster.limits import LIGHT_MEMORY_SIZE_MAX_BYTES
from bftcluster.signing.wire import WireFormat, check_items

_FORMAT: Final = WireFormat(
    "a light peer's memory",
    1,
    [bytes, bytes, list, bytes, bytes, bytes, bytes, list, list],
    LIGHT_MEMORY_SIZE_MAX_BYTES,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LightMemory:
    """All of it, encoded."""

    cluster_id: ClusterId
    peer: PeerId
    links: tuple[bytes, ...] = ()
    """``EpochLink.to_bytes()``, from the genesis on without a gap."""
    certificate: bytes = b""
    """Of the checkpoint that proved the rows; empty: none did."""
    policy_row: bytes = b""
    """Who may approve; empty: as in the genesis."""
    peer_row: bytes = b""
    """What the cluster knew of this peer; empty: nothing."""
    head_row: bytes = b""
    """How many duties there are; empty: none."""
    duty_rows: tuple[bytes, ...] = ()
    """By their slots."""
    hints: tuple[bytes, ...] = ()
    """Frames of hints whose approvals were verified."""

    def to_bytes(self) -> bytes:
        """Return the canonical encoding."""
        rows = (self.policy_row, self.peer_row, self.head_row, list(self.duty_rows))
        links, hints = list(self.links), list(self.hints)
        return _FORMAT.encoded(self.cluster_id, self.peer, links, self.certificate, *rows, hints)

    @classmethod
    def from_bytes(cls, data: bytes) -> "LightMemory":
        """Return what ``data`` encodes.

        Raises:
            MalformedMessageError: Nothing of this version.
        """
        cluster_id, peer, links, certificate, *rows, hints = _FORMAT.read(data)
        policy_row, peer_row, head_row, duty_rows = rows
        return cls(
            cluster_id=ClusterId(cluster_id),
            peer=PeerId(peer),
            links=check_items(links, bytes, "a link"),
            certificate=certificate,
            policy_row=policy_row,
            peer_row=peer_row,
            head_row=head_row,
            duty_rows=check_items(duty_rows, bytes, "a row"),
            hints=check_items(hints, bytes, "a hint"),
        )
