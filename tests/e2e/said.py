"""What replicas said to each other, as it arrived: did one of them contradict itself?"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bftcluster.ids import ClusterId, Epoch, ReplicaId, Seq, View
from bftcluster.pbft.frames import parse_frame
from bftcluster.pbft.messages import Message
from bftcluster.pbft.view_messages import NewView, ViewChange
from bftcluster.pbft.votes import Vote, VoteKind
from bftcluster.signing.keys import parse_peer_id

_NO_SLOT = Seq(0)
_ANY_CLUSTER = ClusterId(b"")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a correct replica signs one thing only."""

    replica: ReplicaId
    kind: str
    epoch: Epoch
    view: View
    seq: Seq


@dataclass(slots=True)
class Said:
    """Everything signed that was heard, by place."""

    by_place: dict[Place, set[bytes]] = field(default_factory=dict)
    votes: Counter[ReplicaId] = field(default_factory=Counter)
    """How many different votes of each replica were heard."""

    def hear(self, sender: ReplicaId, frame: bytes) -> None:
        """Take one frame that came from ``sender``; what it passes on of others is not its word."""
        message = parse_frame(sender, frame)
        for place, word in _words(sender, message):
            words = self.by_place.setdefault(place, set())
            if word not in words and isinstance(message, Vote):
                self.votes[sender] += 1
            words.add(word)

    def hear_all(self, logs: Iterable[Path]) -> None:
        """Take what ``log.frames`` of every peer holds."""
        for log in logs:
            for sender, frame in frames_in(log):
                self.hear(sender, frame)

    @property
    def contradictions(self) -> list[Place]:
        """Return the places where more than one thing was signed."""
        return [place for place, words in self.by_place.items() if len(words) > 1]


def frames_in(log: Path) -> Iterator[tuple[ReplicaId, bytes]]:
    """Yield sender and frame of every whole line; a kill can have cut a line short."""
    with log.open("rb") as lines:
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            yield ReplicaId(parse_peer_id(entry["from"])), bytes.fromhex(entry["frame"])


def _words(sender: ReplicaId, message: Message) -> Iterator[tuple[Place, bytes]]:
    match message:
        case Vote():
            yield _place(message, message.kind.name, message.seq), message.digest
        case ViewChange() if message.replica == sender:
            yield _place(message, "VIEW_CHANGE"), _hash(message.payload(_ANY_CLUSTER))
        case NewView() if message.replica == sender:
            yield _place(message, "NEW_VIEW"), _hash(message.payload(_ANY_CLUSTER))
            for choice in message.choices:
                if not choice.is_committed:  # its proposal is a PRE-PREPARE of the new view
                    yield _place(message, VoteKind.PRE_PREPARE.name, choice.seq), choice.digest


def _place(message: Vote | ViewChange | NewView, kind: str, seq: Seq = _NO_SLOT) -> Place:
    return Place(message.replica, kind, message.epoch, message.view, seq)


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
