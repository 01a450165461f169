"""A key that nobody has: what is public about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bftcluster.errors import MalformedMessageError
from bftcluster.limits import G1_SIZE_BYTES, GROUP_KEY_SIZE_MAX_BYTES, HOLDERS_MAX
from bftcluster.signing.threshold.curve import Curve, G1Point
from bftcluster.signing.threshold.polynomial import committed_value
from bftcluster.signing.wire import WireFormat, check_items, check_size

_FORMAT: Final = WireFormat("group key", 1, [int, bytes, list], GROUP_KEY_SIZE_MAX_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKey:
    """A public key whose secret is shared, and what the parts of holders are checked with."""

    threshold: int
    """How many holders sign for the group; fewer know nothing of its secret."""
    key: bytes
    """48 bytes; what signatures of the group are verified with."""
    public_shares: tuple[bytes, ...]
    """For holder 1, 2, …: the key, 48 bytes, of its share."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= len(self.public_shares) <= HOLDERS_MAX:
            raise MalformedMessageError("a threshold of holders that there are not")
        for key in (self.key, *self.public_shares):
            check_size(key, G1_SIZE_BYTES, "group key")

    @classmethod
    def from_bytes(cls, data: bytes) -> "GroupKey":
        """Return the group key that ``data`` encodes. Whether its points are any, is not checked.

        Raises:
            MalformedMessageError: Not canonical, or of another shape or size.
        """
        threshold, key, public_shares = _FORMAT.read(data)
        shares = check_items(public_shares, bytes, "public share")
        return cls(threshold=threshold, key=key, public_shares=shares)

    def to_bytes(self) -> bytes:
        """Return the canonical encoding."""
        return _FORMAT.encoded(self.threshold, self.key, list(self.public_shares))


def committed_group(curve: Curve, commitments: Sequence[G1Point], holders: int) -> GroupKey:
    """Return the group whose secret is the value at 0 of what ``commitments`` commit to."""
    return GroupKey(
        threshold=len(commitments),
        key=curve.encode_g1(commitments[0]),
        public_shares=tuple(
            curve.encode_g1(committed_value(curve, commitments, place))
            for place in range(1, holders + 1)
        ),
    )
