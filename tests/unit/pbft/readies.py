"""What is in a replica's ``Ready``, by kind."""

from itertools import takewhile
from typing import TypeVar

from bftcluster.pbft import Append, Outbound, Ready, Send

T = TypeVar("T")


def those(kind: type[T], *readies: Ready) -> list[T]:
    """Return the steps of one kind, in order."""
    return [step for ready in readies for step in ready.steps if isinstance(step, kind)]


def sent(*readies: Ready) -> list[Outbound]:
    """Return all frames that are to leave."""
    return [outbound for step in those(Send, *readies) for outbound in step.frames]


def sent_early(*readies: Ready) -> list[Outbound]:
    """Return those that leave before anything is appended."""
    early = [
        Ready(tuple(takewhile(lambda step: not isinstance(step, Append), ready.steps)), 0)
        for ready in readies
    ]
    return sent(*early)
