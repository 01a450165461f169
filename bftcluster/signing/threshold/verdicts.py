"""What becomes of what holders and dealers say in a ceremony, when it is ordered."""

from enum import Enum


class DealingVerdict(Enum):
    """What becomes of a dealing when it is ordered; the first that applies."""

    ACCEPTED = "accepted"
    OUT_OF_TIME = "out-of-time"
    WRONG_CEREMONY = "wrong-ceremony"
    NOT_A_DEALER = "not-a-dealer"
    ALREADY = "already"
    WRONG_COUNT = "wrong-count"
    """Of commitments or sealed shares."""
    WRONG_CONSTANT = "wrong-constant"
    """Another value than the dealer's old share is passed on."""
    NO_POINT = "no-point"
    NOT_POSSESSED = "not-possessed"
    """Nobody showed that the dealer has the secret of the ephemeral key."""


class ComplaintVerdict(Enum):
    """What becomes of a complaint when it is ordered; the first that applies."""

    UPHELD = "upheld"
    """The dealer lied; the dealing is left out."""
    OUT_OF_TIME = "out-of-time"
    WRONG_CEREMONY = "wrong-ceremony"
    NOT_A_HOLDER = "not-a-holder"
    NO_DEALING = "no-dealing"
    ALREADY = "already"
    """The dealing is left out, or this holder complained about it before."""
    NO_POINT = "no-point"
    WRONG_POINT = "wrong-point"
    """The holder lied about the point that it shares with the dealer."""
    SHARE_IS_RIGHT = "share-is-right"
    """The holder lied about its share, and has published it."""
