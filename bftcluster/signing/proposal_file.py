"""An intent that travels between machines by file and collects approvals off the log."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bftcluster import codec
from bftcluster.errors import MalformedMessageError, UsageError
from bftcluster.ids import MaintainerId
from bftcluster.limits import CBOR_SIZE_MAX_BYTES, MAINTAINERS_MAX
from bftcluster.signing.approvals import Approval, Intent
from bftcluster.signing.wire import check_array, read_array

_MAGIC: Final = "bftcluster-proposal"
_VERSION: Final = 1
_SHAPE: Final[list[type]] = [str, int, bytes, list]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalFile:
    """What the file holds. Nothing in it is trusted: ``schemes.tally`` judges the approvals."""

    intent: Intent
    approvals: tuple[Approval, ...] = ()
    """Sorted, without repetition. A maintainer with two different ones appears twice."""

    def with_approvals(self, approvals: Iterable[Approval]) -> "ProposalFile":
        """Return the file with these approvals too."""
        merged = {(item.maintainer, item.signature): item for item in self.approvals}
        merged.update({(item.maintainer, item.signature): item for item in approvals})
        return ProposalFile(
            intent=self.intent, approvals=tuple(merged[key] for key in sorted(merged))
        )

    def merge(self, other: "ProposalFile") -> "ProposalFile":
        """Return one file with the approvals of both.

        Raises:
            UsageError: They are for different intents.
        """
        if other.intent.encoded != self.intent.encoded:
            raise UsageError("these files propose different things, or one thing twice")
        return self.with_approvals(other.approvals)

    def to_bytes(self) -> bytes:
        """Return the file's contents."""
        pairs = [[item.maintainer, item.signature] for item in self.approvals]
        return codec.encode([_MAGIC, _VERSION, self.intent.encoded, pairs])

    @classmethod
    def from_bytes(cls, data: bytes) -> "ProposalFile":
        """Return what a file's contents hold.

        Raises:
            MalformedMessageError: Not a proposal file, or of another version.
        """
        magic, version, intent, pairs = read_array(
            data, _SHAPE, "proposal file", size_max_bytes=CBOR_SIZE_MAX_BYTES
        )
        if (magic, version) != (_MAGIC, _VERSION):
            raise MalformedMessageError("not a proposal file of this version")
        if len(pairs) > MAINTAINERS_MAX:
            raise MalformedMessageError(f"a proposal file with {len(pairs)} approvals")
        items = [check_array(pair, [bytes, bytes], "approval") for pair in pairs]
        approvals = [Approval(maintainer=MaintainerId(key), signature=sig) for key, sig in items]
        return cls(intent=Intent.from_bytes(intent)).with_approvals(approvals)
