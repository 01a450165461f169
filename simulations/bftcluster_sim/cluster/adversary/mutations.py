"""Small changes to messages that stay validly signed (ByzzFuzz, OOPSLA'23).

A mutation changes one place of what a frame encodes, however deep: a number by one, a digest into
another that is known, an item dropped, doubled or moved, a bit of anything else. Certificates and
batches are encodings within the encoding, so the places inside them count too. Afterwards the
sender signs with its own key what it is able to sign: nothing here forges.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import ClusterId, Digest, ReplicaId
from bftcluster.limits import COUNTER_MAX, DIGEST_SIZE_BYTES
from bftcluster.pbft.frames import parse_frame
from bftcluster.pbft.new_view import proposals_of
from bftcluster.pbft.view_messages import NewView, ViewChange
from bftcluster.pbft.votes import Vote, VoteKind
from bftcluster.signing.envelope import Domain, Signer, sign
from bftcluster_sim.cluster.environment.signatures import signed_vote

_VOTES = [int(kind) for kind in VoteKind]
_DEEPER_PERCENT = 70


def mutate(frame: bytes, random: Random, *, digests: Sequence[Digest] = ()) -> bytes:
    """Return ``frame`` with one place changed; signatures are left as they were.

    Args:
        frame: A message as it would be sent.
        random: Draws the place and the change.
        digests: What other digests there are.
    """
    kind, *fields = codec.decode(frame)
    if kind in _VOTES and random.random() < 0.1:
        return codec.encode([random.choice(_VOTES), *fields])
    place = random.randrange(len(fields))
    fields[place] = _changed(fields[place], random, digests)
    return codec.encode([kind, *fields])


def sign_again(frame: bytes, signer: Signer, cluster_id: ClusterId, *, is_mended: bool) -> bytes:
    """Return ``frame`` signed by ``signer``; as it is, if it carries no signature of its sender.

    Args:
        frame: A message whose content was changed.
        signer: Of the sender.
        cluster_id: What signatures bind.
        is_mended: In a NEW-VIEW, make what follows from other fields follow from them again, so
            that a change is not found out by the first comparison.
    """
    try:
        message = parse_frame(ReplicaId(signer.public_key), frame)
    except MalformedMessageError:
        return frame
    match message:
        case Vote():
            return signed_vote(message, signer, cluster_id).frame()
        case ViewChange():
            payload = message.payload(cluster_id)
            return replace(message, signature=sign(signer, Domain.VIEW_CHANGE, payload)).frame()
        case NewView():
            if is_mended:
                message = _mended(message, signer, cluster_id)
            payload = message.payload(cluster_id)
            return replace(message, signature=sign(signer, Domain.NEW_VIEW, payload)).frame()
        case _:
            return frame


def _mended(new_view: NewView, signer: Signer, cluster_id: ClusterId) -> NewView:
    """Return ``new_view`` with voters and proposals that fit its view changes and choices."""
    voters = tuple(
        Digest(hashlib.sha256(change.payload(cluster_id)).digest())
        for change in new_view.view_changes
    )
    unsigned = tuple(bytes(64) for choice in new_view.choices if not choice.is_committed)
    votes = proposals_of(replace(new_view, proposals=unsigned))
    proposals = tuple(signed_vote(vote, signer, cluster_id).signature for vote in votes)
    return replace(new_view, voters=voters, proposals=proposals)


def _changed(value: Any, random: Random, digests: Sequence[Digest]) -> Any:  # noqa: ANN401
    """Return ``value`` with one place in it changed."""
    match value:
        case bool():
            return not value
        case int():
            return _other_number(value, random)
        case bytes():
            return _other_bytes(value, random, digests)
        case list():
            return _other_list(value, random, digests)
        case _:
            raise AssertionError("frames hold nothing else")


def _other_number(value: int, random: Random) -> int:
    far = random.choice((0, value + 7, value + 1_000, COUNTER_MAX))
    near = value + random.choice((-1, 1))
    return min(max(0, far if random.random() < 0.2 else near), COUNTER_MAX)


def _other_list(value: list[Any], random: Random, digests: Sequence[Digest]) -> list[Any]:
    if not value:
        return value
    value = list(value)
    place = random.randrange(len(value))
    if random.random() * 100 < _DEEPER_PERCENT:
        value[place] = _changed(value[place], random, digests)
        return value
    item = value.pop(place)
    match random.randrange(3):
        case 0:
            return value
        case 1:
            return [*value[:place], item, item, *value[place:]]
        case _:
            value.insert(random.randrange(len(value) + 1), item)
            return value


def _other_bytes(value: bytes, random: Random, digests: Sequence[Digest]) -> bytes:
    if not value:
        return random.randbytes(1)
    inner = _decoded(value)
    if inner is not None and random.random() * 100 < _DEEPER_PERCENT:
        return codec.encode(_changed(inner, random, digests))
    if len(value) == DIGEST_SIZE_BYTES and digests and random.random() < 0.7:
        return random.choice(digests)
    if random.random() < 0.2:
        return value[: random.randrange(len(value))]
    damaged = bytearray(value)
    damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def _decoded(value: bytes) -> list[Any] | None:
    """Return the array that ``value`` encodes, if it is one: a certificate, a batch, an entry."""
    try:
        inner = codec.decode(value)
    except MalformedMessageError:
        return None
    return inner if isinstance(inner, list) else None
