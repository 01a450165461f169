"""What somebody with an invitation asks a peer that does not know it, and what it is told."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bftcluster.errors import MalformedMessageError
from bftcluster.limits import CBOR_SIZE_MAX_BYTES
from bftcluster.shell_limits import DOOR_QUESTION_SIZE_MAX_BYTES
from bftcluster.signing.wire import WireFormat

_QUESTION: Final = WireFormat("question", 1, [int, bytes], DOOR_QUESTION_SIZE_MAX_BYTES)
_ANSWER: Final = WireFormat("answer", 1, [str, str, str, bytes, int], CBOR_SIZE_MAX_BYTES)


class DoorTopic(IntEnum):
    """What is asked for. The numbers are part of the wire format."""

    GENESIS = 0
    """The genesis, for whoever names the key of an invitation that is open."""
    REDEMPTION = 1
    """That a redemption is ordered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorQuestion:
    """One question."""

    topic: DoorTopic
    body: bytes
    """The invitation's key, or the encoded request."""

    def to_bytes(self) -> bytes:
        """Return the canonical encoding."""
        return _QUESTION.encoded(int(self.topic), self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorAnswer:
    """What became of it."""

    code: str
    """The label of an outcome, ``genesis``, ``timeout`` or ``invalid``."""
    detail: str
    """For people to read."""
    hint: str = ""
    """What they can do next."""
    genesis: bytes = b""
    wall_ms: int
    """The peer's clock, in unix milliseconds."""

    def to_bytes(self) -> bytes:
        """Return the canonical encoding."""
        return _ANSWER.encoded(self.code, self.detail, self.hint, self.genesis, self.wall_ms)


def question_from_bytes(data: bytes) -> DoorQuestion:
    """Return the question that ``data``, which is not trusted, encodes.

    Raises:
        MalformedMessageError: It encodes none.
    """
    topic, body = _QUESTION.read(data)
    if topic not in set(DoorTopic):
        raise MalformedMessageError(f"a question about {topic}")
    return DoorQuestion(topic=DoorTopic(topic), body=body)


def answer_from_bytes(data: bytes) -> DoorAnswer:
    """Return the answer that ``data``, which is not trusted, encodes.

    Raises:
        MalformedMessageError: It encodes none.
    """
    code, detail, hint, genesis, wall_ms = _ANSWER.read(data)
    return DoorAnswer(code=code, detail=detail, hint=hint, genesis=genesis, wall_ms=wall_ms)
