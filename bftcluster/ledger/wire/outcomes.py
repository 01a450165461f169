"""How a request can end. A refusal is a value: all replicas must refuse alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bftcluster.cid import Cid
from bftcluster.ids import Digest, Seq


class OutcomeCode(IntEnum):
    """How one request ended. Below ``MALFORMED`` it did something or had been done already."""

    COMMITTED = 0
    """The approved operation was executed."""
    PENDING = 1
    """The approval counts; more are needed."""
    REJECTION_COUNTED = 2
    """The rejection counts; the proposal is still open."""
    REJECTED = 3
    """This rejection closed the proposal: the threshold is out of reach, or nobody approves it."""
    RECORDED = 4
    """A peer's report or join was taken."""
    ALREADY = 5
    """The same maintainer had said so already; nothing changed."""

    MALFORMED = 32
    WRONG_CLUSTER = 33
    WRONG_POLICY = 34
    """Approved under a policy that is not the current one."""
    NOT_YET_VALID = 35
    EXPIRED = 36
    REPLAYED = 37
    """This intent was used or rejected before, or this report is not newer than the last."""
    UNKNOWN_MAINTAINER = 38
    """A signer is not in the policy, or the certificate does not fit the policy."""
    BAD_SIGNATURE = 40
    THRESHOLD_NOT_MET = 41
    UNKNOWN_PROPOSAL = 42
    """No such proposal, or no longer."""
    ALREADY_REJECTED = 43
    """The maintainer rejected this proposal; a rejection is final."""
    TOO_MANY_PROPOSALS = 44
    UNKNOWN_PIN = 45
    NOT_ENOUGH_PEERS = 46
    INVALID_OPERATION = 47
    """The state does not allow it, such as an expiry in the past."""
    NOT_ADMITTED = 48
    """The peer is not one of the cluster's."""
    UNKNOWN_PEER = 49
    """No such peer, or none that voted in that epoch."""
    CHANGE_UNDER_WAY = 50
    """An earlier change of this peer has not come to its end."""
    TOO_MUCH = 51
    """This peer announced as much as it may in an hour."""
    EVICTED = 52
    """The peer was evicted, and may not be admitted again yet."""
    UNKNOWN_INVITE = 60
    """No such invitation, or it expired."""
    INVITE_CLOSED = 61
    """The invitation is used up, or was revoked."""


@dataclass(slots=True, init=False, unsafe_hash=True)
class Outcome:
    """How one request ended."""

    code: Final[OutcomeCode]
    detail: Final[str]
    """For people to read; the same on all replicas."""
    intent_digest: Final[Digest | None]
    cid: Final[Cid | None]
    earlier: Final[Seq | None]
    """The batch that used or rejected the intent before, if one did."""

    def __init__(
        self,
        code: OutcomeCode,
        detail: str = "",
        intent_digest: Digest | None = None,
        cid: Cid | None = None,
        earlier: Seq | None = None,
    ) -> None:
        self.code = code
        self.detail = detail
        self.intent_digest = intent_digest
        self.cid = cid
        self.earlier = earlier

    @property
    def is_accepted(self) -> bool:
        """Whether the request was not refused."""
        return self.code < OutcomeCode.MALFORMED

    @property
    def label(self) -> str:
        """The code in lower case with hyphens: ``wrong-cluster``."""
        return self.code.name.lower().replace("_", "-")

    @property
    def hint(self) -> str:
        """What the user can do next; empty if there is nothing to say."""
        return _HINTS.get(self.code, "")


_HINTS: Final[Mapping[OutcomeCode, str]] = {
    OutcomeCode.MALFORMED: "the client and the cluster may be of different versions",
    OutcomeCode.WRONG_CLUSTER: "sign for this cluster: compare the cluster ids",
    OutcomeCode.WRONG_POLICY: "propose it again, under the current policy",
    OutcomeCode.NOT_YET_VALID: "submit it again later; nothing was used up",
    OutcomeCode.EXPIRED: "propose it again, with a later expiry",
    OutcomeCode.REPLAYED: "it was done before; propose it again if it is to be done once more",
    OutcomeCode.UNKNOWN_MAINTAINER: "only the maintainers of the current policy can approve",
    OutcomeCode.BAD_SIGNATURE: "sign it again; what was signed and what was sent differ",
    OutcomeCode.THRESHOLD_NOT_MET: "collect more approvals",
    OutcomeCode.UNKNOWN_PROPOSAL: "list the proposals that are pending",
    OutcomeCode.ALREADY_REJECTED: "a rejection is final: propose it again",
    OutcomeCode.TOO_MANY_PROPOSALS: "approve, reject or let expire what this maintainer proposed",
    OutcomeCode.NOT_ENOUGH_PEERS: "lower the replication, or have more peers join with free space",
    OutcomeCode.UNKNOWN_PEER: "`bftcluster cluster members` lists the peers",
    OutcomeCode.CHANGE_UNDER_WAY: "wait for it: see `bftcluster cluster members`",
    OutcomeCode.TOO_MUCH: "wait for the next hour",
    OutcomeCode.UNKNOWN_INVITE: "ask whoever sent the invitation for a new one",
    OutcomeCode.INVITE_CLOSED: "ask whoever sent the invitation for a new one",
    OutcomeCode.NOT_ADMITTED: "the peer must be admitted, and join, before it reports",
}
