"""What peers say about audits: pledges and answers of who is asked, and what voters saw of them.

Each line names its audit by number and by a mark, the beginning of a hash of the seed and the pin.
So nothing that a peer signed counts on another branch of a log that was given up, nor for an audit
that differs from what it was shown: light peers are shown audits by relays, which may make them up.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from bftcluster.cid import Cid
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import ClusterId, Digest, PeerId
from bftcluster.ledger.wire.peer_fields import PeerStatement, SignedPayload, StatementFormat
from bftcluster.ledger.wire.request_kinds import RequestKind
from bftcluster.limits import AUDIT_LINES_MAX, AUDIT_PEERS_MAX, AUDITS_ASKED_MAX, DIGEST_SIZE_BYTES
from bftcluster.signing.envelope import Domain, Signer
from bftcluster.signing.wire import check_array

MARK_SIZE_BYTES: Final = 8
SALT_SIZE_BYTES: Final = 16
_PLEDGE_SHAPE: Final[list[type]] = [int, bytes, bytes]
_ANSWER_SHAPE: Final[list[type]] = [int, bytes, bytes, bytes]
_SIGHT_SHAPE: Final[list[type]] = [int, bytes, int, int, bytes]
_NUMBER_MAX: Final = 1 << 63
_LINE_SIZE_MAX_BYTES: Final = 96
_PAYLOAD_SIZE_MAX_BYTES: Final = 128 + AUDIT_LINES_MAX * _LINE_SIZE_MAX_BYTES
_PLEDGE: Final = StatementFormat(RequestKind.PLEDGE, Domain.PLEDGE, [list], _PAYLOAD_SIZE_MAX_BYTES)
_ANSWER: Final = StatementFormat(RequestKind.ANSWER, Domain.ANSWER, [list], _PAYLOAD_SIZE_MAX_BYTES)
_ATTEST: Final = StatementFormat(RequestKind.ATTEST, Domain.ATTEST, [list], _PAYLOAD_SIZE_MAX_BYTES)
_MARK_TAG: Final = b"bftcluster/audit-mark/v1\x00"
_COMMITMENT_TAG: Final = b"bftcluster/audit-commitment/v1\x00"
_DIGEST_TAG: Final = b"bftcluster/audit-digest/v1\x00"
_LINK_TAG: Final = b"bftcluster/audit-link/v1\x00"


class PledgeLine(NamedTuple):
    """That a peer has worked out its answer, which nobody can read yet."""

    number: int
    mark: bytes
    commitment: bytes


class AnswerLine(NamedTuple):
    """What it had pledged; or, with neither digest nor salt, that it does not have the blocks."""

    number: int
    mark: bytes
    digest: bytes
    salt: bytes

    @property
    def is_missing(self) -> bool:
        """Whether it says that the blocks are not there."""
        return not self.digest


class SightLine(NamedTuple):
    """What a voter saw when it read the blocks from a suspect."""

    number: int
    mark: bytes
    asked: int
    """How often the suspects of this audit had been asked by then, from 1."""
    place: int
    """The suspect's, among those that are asked."""
    digest: bytes
    """Over the blocks that it sent, each checked; empty: it did not send them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pledge(PeerStatement):
    """A peer's commitments. Made by ``make_pledge``."""

    lines: tuple[PledgeLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(PeerStatement):
    """What a peer had committed to. Made by ``make_answer``."""

    lines: tuple[AnswerLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attest(PeerStatement):
    """What a voter read from suspects. Made by ``make_attest``."""

    lines: tuple[SightLine, ...]


AuditRequest: TypeAlias = Pledge | Answer | Attest
A = TypeVar("A", Pledge, Answer, Attest)
AUDIT_DOMAINS: Final = {
    Pledge: Domain.PLEDGE,
    Answer: Domain.ANSWER,
    Attest: Domain.ATTEST,
}


def word_of(request: AuditRequest) -> Digest:
    """Return what people find a request in the log by."""
    return Digest(hashlib.sha256(request.to_bytes()).digest())


class AnswerHash:
    """Takes the blocks that an audit is about, one by one, from the root down."""

    def __init__(self, seed: bytes) -> None:
        self._hash = hashlib.sha256(_DIGEST_TAG + seed)

    def update(self, block: bytes) -> None:
        """Take the next block."""
        self._hash.update(len(block).to_bytes(8, "big"))
        self._hash.update(block)

    def digest(self) -> Digest:
        """Return the digest over all of them: what there is to answer."""
        return Digest(self._hash.digest())


def answer_digest(seed: bytes, blocks: Iterable[bytes]) -> Digest:
    """Return the digest over the blocks that an audit is about."""
    answer = AnswerHash(seed)
    for block in blocks:
        answer.update(block)
    return answer.digest()


def link_at(seed: bytes, depth: int, count: int) -> int:
    """Return which of ``count`` links an audit follows from the block at ``depth``."""
    assert count > 0, "there is a link"
    drawn = hashlib.sha256(_LINK_TAG + seed + depth.to_bytes(8, "big")).digest()
    return int.from_bytes(drawn[:16], "big") % count


def mark_of(seed: bytes, cid: Cid) -> bytes:
    """Return what lines name an audit by besides its number: it stands for seed and pin."""
    return hashlib.sha256(_MARK_TAG + seed + cid).digest()[:MARK_SIZE_BYTES]


def commitment_of(seed: bytes, peer: PeerId, digest: bytes, salt: bytes) -> Digest:
    """Return what binds a peer to its answer: of another peer the same bytes are worth nothing."""
    return Digest(hashlib.sha256(_COMMITMENT_TAG + seed + peer + digest + salt).digest())


def make_pledge(signer: Signer, cluster_id: ClusterId, lines: Sequence[PledgeLine]) -> Pledge:
    """Return the signer's commitments, to be ordered: at most ``AUDIT_LINES_MAX``."""
    return read_pledge(*_PLEDGE.signed(signer, cluster_id, _listed(lines)))


def make_answer(signer: Signer, cluster_id: ClusterId, lines: Sequence[AnswerLine]) -> Answer:
    """Return the signer's answers, to be ordered: at most ``AUDIT_LINES_MAX``."""
    return read_answer(*_ANSWER.signed(signer, cluster_id, _listed(lines)))


def make_attest(signer: Signer, cluster_id: ClusterId, lines: Sequence[SightLine]) -> Attest:
    """Return what the signer saw, to be ordered: at most ``AUDIT_LINES_MAX``."""
    return read_attest(*_ATTEST.signed(signer, cluster_id, _listed(lines)))


def read_pledge(payload: bytes, signature: bytes) -> Pledge:
    """Return the request that a payload and its signature are.

    Raises:
        MalformedMessageError: They are none.
    """
    return _read(Pledge, *_PLEDGE.read(payload, signature), _pledge_line)


def read_answer(payload: bytes, signature: bytes) -> Answer:
    """Return the request that they are, or raise as ``read_pledge``."""
    return _read(Answer, *_ANSWER.read(payload, signature), _answer_line)


def read_attest(payload: bytes, signature: bytes) -> Attest:
    """Return the request that they are, or raise as ``read_pledge``."""
    return _read(Attest, *_ATTEST.read(payload, signature), _sight_line)


def _listed(lines: Sequence[tuple[int | bytes, ...]]) -> list[object]:
    return [[list(line) for line in lines]]


def _read(
    request: type[A], said: SignedPayload, items: list[Any], read_line: Callable[[object], Any]
) -> A:
    [items] = items
    if not 1 <= len(items) <= AUDIT_LINES_MAX:
        raise MalformedMessageError(f"{len(items)} lines about audits")
    lines = tuple([read_line(item) for item in items])
    keys = [line[:-1] if isinstance(line, SightLine) else line[:1] for line in lines]
    if sorted(set(keys)) != keys:
        raise MalformedMessageError("lines about audits must be distinct, and sorted")
    return request(said=said, lines=lines)


def _pledge_line(item: object) -> PledgeLine:
    number, mark, commitment = check_array(item, _PLEDGE_SHAPE, "a pledge")
    _check(number, mark, commitment, is_empty_allowed=False)
    return PledgeLine(number, mark, commitment)


def _answer_line(item: object) -> AnswerLine:
    number, mark, digest, salt = check_array(item, _ANSWER_SHAPE, "an answer")
    _check(number, mark, digest, is_empty_allowed=True)
    if len(salt) != (SALT_SIZE_BYTES if digest else 0):
        raise MalformedMessageError("an answer has a salt, unless the blocks are missing")
    return AnswerLine(number, mark, digest, salt)


def _sight_line(item: object) -> SightLine:
    number, mark, asked, place, digest = check_array(item, _SIGHT_SHAPE, "a sight")
    _check(number, mark, digest, is_empty_allowed=True)
    if not (1 <= asked <= AUDITS_ASKED_MAX and 0 <= place < AUDIT_PEERS_MAX):
        raise MalformedMessageError("an audit has no such suspect")
    return SightLine(number, mark, asked, place, digest)


def _check(number: int, mark: bytes, digest: bytes, *, is_empty_allowed: bool) -> None:
    if not 0 <= number < _NUMBER_MAX or len(mark) != MARK_SIZE_BYTES:
        raise MalformedMessageError("no audit has such a name")
    if len(digest) != DIGEST_SIZE_BYTES and not (is_empty_allowed and not digest):
        raise MalformedMessageError("what is said of an audit is a digest")
