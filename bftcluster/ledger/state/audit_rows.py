"""The rows of ``Space.AUDIT``: audits that are open, what came of the last ones, and whose turn is.

The row of an open audit is all that who is asked must know to answer: the pin, the seed, the phase.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from bftcluster import codec
from bftcluster.cid import Cid
from bftcluster.ids import PeerId, Seq
from bftcluster.ledger.wire.audit_requests import mark_of
from bftcluster.limits import AUDIT_VERDICTS_KEPT_MAX
from bftcluster.reputation import AuditOutcome

TURN_KEY: Final = b"turn"
CHALLENGE_PREFIX: Final = b"challenge/"
VERDICTS_PREFIX: Final = b"verdicts/"
_NUMBER_SIZE_BYTES: Final = 8
_NOTHING: Final = Seq(0)


class AuditPhase(IntEnum):
    """How far an audit is. The numbers are part of the state."""

    PLEDGING = 0
    """Those who are asked commit to their answers."""
    ANSWERING = 1
    """They say what they had committed to."""
    SIGHTING = 2
    """Voters read the blocks from the suspects."""
    RESTING = 3
    """Suspects did not show the blocks, and are asked again later."""
    AGREED = 4
    """All said the same; the next beacon may have voters look all the same."""


class Grounds(IntEnum):
    """What a verdict goes back to. The numbers are part of the state."""

    AGREEMENT = 0
    """It said what others said, or what voters saw."""
    SIGHT = 1
    """Enough voters read the blocks from it."""
    CONTRADICTION = 2
    """What it signed is not what enough voters saw."""
    ADMISSION = 3
    """It said itself that it does not have the blocks."""
    SILENCE = 4
    """It did not show the blocks to a quorum of voters when it was asked."""
    ABSENCE = 5
    """It never showed them in an audit day, though it was there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One of the holders that are asked for the same blocks."""

    peer: PeerId
    commitment: bytes = b""
    """Empty: it has not pledged."""
    digest: bytes = b""
    """What it answered; empty: nothing yet, or that it does not have the blocks."""
    word: bytes = b""
    """Digest of its last request that counted; empty: none."""
    word_seq: Seq = _NOTHING
    """The batch that ordered that."""
    is_suspect: bool = False
    is_settled: bool = False
    """Whether nothing more is expected of it."""
    heard_times: int = 0
    """How often it announced itself while it was asked in vain."""
    sights: tuple[tuple[PeerId, bytes], ...] = ()
    """What voters saw since it was asked last, by voter; empty: nothing."""

    def seen_by(self, voter: PeerId) -> bytes | None:
        """Return what a voter said it saw; None: it has not said anything."""
        for each, digest in self.sights:
            if each == voter:
                return digest
        return None

    def with_sight(self, voter: PeerId, digest: bytes) -> "Asked":
        """Return this with what a voter saw, in place of what it said before."""
        others = [each for each in self.sights if each[0] != voter]
        return replace(self, sights=tuple(sorted([*others, (voter, digest)])))

    def to_wire(self) -> list[object]:
        """Return the array that stands for this."""
        return [
            self.peer,
            self.commitment,
            self.digest,
            self.word,
            self.word_seq,
            self.is_suspect,
            self.is_settled,
            self.heard_times,
            [[voter, digest] for voter, digest in self.sights],
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """An audit that is open."""

    number: int
    """From 0, in the order in which they are drawn."""
    period: int
    """Whose beacon it was drawn from."""
    seed: bytes
    """32 bytes: which blocks it is about follows from it."""
    cid: Cid
    """The root of the pin."""
    pin_number: int
    phase: AuditPhase
    until_ms: int
    """When the phase ends, in batch time; of `AGREED`, 0."""
    asked: tuple[Asked, ...]
    """The holders: a place in it is a peer's for as long as the audit lasts."""
    asked_times: int = 0
    """How often suspects were asked."""
    asked_ms: int = 0
    """When they were last."""
    seen: bytes = b""
    """The digest of the right blocks, once enough voters saw them."""
    is_second_look: bool = False
    """Whether all had agreed, and voters look all the same."""

    @property
    def mark(self) -> bytes:
        """What lines about it name it by, besides its number."""
        return mark_of(self.seed, self.cid)

    def place_of(self, peer: PeerId) -> int | None:
        """Return a peer's place among those that are asked, if it is one of them."""
        for place, each in enumerate(self.asked):
            if each.peer == peer:
                return place
        return None

    def with_asked(self, place: int, asked: Asked) -> "Challenge":
        """Return this with one of those that are asked as it is now."""
        return replace(self, asked=(*self.asked[:place], asked, *self.asked[place + 1 :]))

    def to_value(self) -> bytes:
        """Return the row's value."""
        return codec.encode(
            [
                self.number,
                self.period,
                self.seed,
                self.cid,
                self.pin_number,
                int(self.phase),
                self.until_ms,
                [each.to_wire() for each in self.asked],
                self.asked_times,
                self.asked_ms,
                self.seen,
                self.is_second_look,
            ]
        )


def challenge_key(number: int) -> bytes:
    """Return the key of an open audit."""
    return CHALLENGE_PREFIX + number.to_bytes(_NUMBER_SIZE_BYTES, "big")


def read_challenge(value: bytes) -> Challenge:
    """Return the open audit in a row."""
    number, period, seed, cid, pin_number, phase, until_ms, asked, *rest = codec.decode(value)
    asked_times, asked_ms, seen, is_second_look = rest
    return Challenge(
        number=number,
        period=period,
        seed=seed,
        cid=Cid(cid),
        pin_number=pin_number,
        phase=AuditPhase(phase),
        until_ms=until_ms,
        asked=tuple([_read_asked(item) for item in asked]),
        asked_times=asked_times,
        asked_ms=asked_ms,
        seen=seen,
        is_second_look=is_second_look,
    )


def _read_asked(items: list[object]) -> Asked:
    peer, commitment, digest, word, word_seq, is_suspect, is_settled, heard_times, sights = items
    assert isinstance(sights, list), "rows are our own"
    return Asked(
        peer=PeerId(_bytes(peer)),
        commitment=_bytes(commitment),
        digest=_bytes(digest),
        word=_bytes(word),
        word_seq=Seq(_int(word_seq)),
        is_suspect=bool(is_suspect),
        is_settled=bool(is_settled),
        heard_times=_int(heard_times),
        sights=tuple([(PeerId(voter), digest) for voter, digest in sights]),
    )


@dataclass(frozen=True, slots=True)
class AuditTurn:
    """How far drawing has come. Its row has the fields in their order."""

    ever: int = 0
    """How many audits there ever were: the number of the next one."""
    period: int = 0
    """Whose beacon is drawn from."""
    is_over: bool = True
    """Whether that period's drawing is."""
    looked: int = 0
    """Audits up to before this number, of earlier periods, that the beacon has looked at."""
    is_looked: bool = True
    """Whether it has looked at all of them."""
    after: bytes = b""
    """The last peer that lots were drawn for; empty: none was yet."""

    def to_value(self) -> bytes:
        """Return the row's value."""
        return codec.encode(
            [self.ever, self.period, self.is_over, self.looked, self.is_looked, self.after]
        )


def read_turn(value: bytes | None) -> AuditTurn:
    """Return what a row holds."""
    return AuditTurn() if value is None else AuditTurn(*codec.decode(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditVerdict:
    """What came of one audit for one peer, and what that goes back to."""

    number: int
    """The audit's."""
    period: int
    """Whose beacon it was drawn from."""
    cid: Cid
    """The root of the pin."""
    outcome: AuditOutcome
    grounds: Grounds
    word_seq: Seq
    """The batch with its own last word, 0: it said nothing."""
    seq: Seq
    """The batch in which it was judged."""
    voters: int
    """How many said what they saw of it."""

    @property
    def has_passed(self) -> bool:
        """Whether it had what it should."""
        return self.outcome is AuditOutcome.PASSED

    def to_wire(self) -> list[object]:
        """Return the array that stands for this."""
        return [
            self.number,
            self.period,
            self.cid,
            int(self.outcome),
            int(self.grounds),
            self.word_seq,
            self.seq,
            self.voters,
        ]


def verdicts_key(peer: PeerId) -> bytes:
    """Return the key of what came of a peer's last audits."""
    return VERDICTS_PREFIX + peer


def read_verdicts(value: bytes | None) -> list[AuditVerdict]:
    """Return what came of a peer's last audits, in order; those that did not pass stay longer."""
    return [] if value is None else [_read_verdict(item) for item in codec.decode(value)]


def with_verdict(value: bytes | None, verdict: AuditVerdict) -> bytes:
    """Return a peer's row with one verdict more, and less of those that are old."""
    verdicts = [*read_verdicts(value), verdict]
    last = verdicts[-AUDIT_VERDICTS_KEPT_MAX:]
    before = [each for each in verdicts[:-AUDIT_VERDICTS_KEPT_MAX] if not each.has_passed]
    kept: Sequence[AuditVerdict] = [*before[-AUDIT_VERDICTS_KEPT_MAX:], *last]
    return codec.encode([each.to_wire() for each in kept])


def _read_verdict(items: list[object]) -> AuditVerdict:
    number, period, cid, outcome, grounds, word_seq, seq, voters = items
    return AuditVerdict(
        number=_int(number),
        period=_int(period),
        cid=Cid(_bytes(cid)),
        outcome=AuditOutcome(_int(outcome)),
        grounds=Grounds(_int(grounds)),
        word_seq=Seq(_int(word_seq)),
        seq=Seq(_int(seq)),
        voters=_int(voters),
    )


def _int(item: object) -> int:
    assert isinstance(item, int), "rows are our own"
    return item


def _bytes(item: object) -> bytes:
    assert isinstance(item, bytes), "rows are our own"
    return item
