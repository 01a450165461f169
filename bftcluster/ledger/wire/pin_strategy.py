"""By what a pin's holders are chosen, and how many by its age, as maintainers approve it."""

from dataclasses import dataclass
from typing import Any, Final

from bftcluster import codec
from bftcluster.errors import MalformedMessageError, UsageError
from bftcluster.ids import WordedNumber
from bftcluster.limits import (
    AGE_RULES_MAX,
    PEER_TAG_MAX_CHARS,
    PIN_DOMAINS_MIN_MAX,
    PIN_REPLICATION_MAX,
    PIN_TAGS_MAX,
    TIME_MAX_MS,
)
from bftcluster.signing.wire import check_array

Tag = tuple[str, str]

_SHAPE: Final[list[type]] = [int, list, list, str, int]
AGE_RULES: Final = 6
_AGES_SHAPE: Final[list[type]] = [int, list]
_AGE_RULE_SHAPE: Final[list[type]] = [int, int, int]


class StrategyName(WordedNumber):
    """By what candidates are compared. The numbers are part of the wire format.

    What everybody keeps needs none: its replication is -1.
    """

    BALANCED = 1
    """By weight: free space, how far a peer is trusted, and its age."""
    FREESPACE = 2
    """By free space alone."""
    TAGS = 3
    """First by what peers say of themselves, then by weight."""


_NAMES: Final = {int(name): name for name in StrategyName}
NAMES_BY_WORD: Final = {name.word: name for name in StrategyName}


@dataclass(frozen=True, slots=True, kw_only=True)
class PinStrategy:
    """Which peers come into question for a pin, and which come first.

    Raises:
        UsageError: On construction, if it makes no sense.
    """

    name: StrategyName = StrategyName.BALANCED
    required: tuple[Tag, ...] = ()
    """Every new holder has all of these; sorted, keys distinct."""
    preferred: tuple[Tag, ...] = ()
    """Peers with the first come first, then those with the next; only of ``TAGS``."""
    spread: str = ""
    """Copies are with peers of different values of this tag, as far as there are; of ``TAGS``."""
    domains_min: int = 0
    """In how many failure domains the holders have to be when they are chosen."""

    def __post_init__(self) -> None:
        is_by_tags = self.name is StrategyName.TAGS
        if is_by_tags != bool(self.preferred or self.spread):
            raise UsageError(
                "a strategy has preferred tags, or one to spread over, if it is `tags`"
            )
        for tags in (self.required, self.preferred):
            if len(tags) > PIN_TAGS_MAX:
                raise UsageError(f"at most {PIN_TAGS_MAX} tags are required, and as many preferred")
            for key, value in tags:
                _check_tag(key)
                _check_tag(value)
        keys = [key for key, _ in self.required]
        if sorted(set(keys)) != keys:
            raise UsageError("required tags have distinct keys, sorted")
        if len(set(self.preferred)) != len(self.preferred):
            raise UsageError("preferred tags are distinct")
        if self.spread:
            _check_tag(self.spread)
        if not 0 <= self.domains_min <= PIN_DOMAINS_MIN_MAX:
            raise UsageError(f"from 0 to {PIN_DOMAINS_MIN_MAX} failure domains can be asked for")

    def to_wire(self) -> list[object]:
        """Return it as codec items."""
        return [int(self.name), self.required, self.preferred, self.spread, self.domains_min]


def _check_tag(text: str) -> None:
    if not 1 <= len(text) <= PEER_TAG_MAX_CHARS:
        raise UsageError(f"a tag has a key and a value of 1 to {PEER_TAG_MAX_CHARS} characters")


def strategy_from_wire(items: object) -> PinStrategy:
    """Return the strategy that decoded items stand for.

    Raises:
        MalformedMessageError: They stand for none.
    """
    name, required, preferred, spread, domains_min = check_array(items, _SHAPE, "a strategy")
    if name not in _NAMES:
        raise MalformedMessageError(f"unknown strategy {name}")
    try:
        return PinStrategy(
            name=_NAMES[name],
            required=_tags(required),
            preferred=_tags(preferred),
            spread=spread,
            domains_min=domains_min,
        )
    except UsageError as exc:
        raise MalformedMessageError(str(exc)) from None


def _tags(items: list[Any]) -> tuple[Tag, ...]:
    pairs = [check_array(item, [str, str], "a tag") for item in items[: PIN_TAGS_MAX + 1]]
    return tuple([(key, value) for key, value in pairs])


_WORDS: Final = ("strategy", "require", "prefer", "spread", "domains")


def parse_strategy(words: list[Tag]) -> PinStrategy | None:
    """Return the strategy that people ask for, or None if they ask for none.

    Args:
        words: Pairs such as ``("strategy", "tags")``, ``("require", "disk:ssd")``, ``("prefer",
            "region:eu")``, ``("spread", "rack")`` and ``("domains", "2")``.

    Raises:
        UsageError: They make no sense.
    """
    unknown = [word for word, _ in words if word not in _WORDS]
    if unknown:
        raise UsageError(f"not {unknown[0][:64]!r}: one of {', '.join(_WORDS)}")
    if not words:
        return None
    required = sorted([_tag(text) for word, text in words if word == "require"])
    preferred = [_tag(text) for word, text in words if word == "prefer"]
    spread = _single(words, "spread")
    by_tags = StrategyName.TAGS if preferred or spread else StrategyName.BALANCED
    name = _single(words, "strategy") or by_tags.word
    if name not in NAMES_BY_WORD:
        raise UsageError(
            f"not a strategy: {name[:64]!r}",
            hint=f"one of {', '.join(NAMES_BY_WORD)}; everywhere is a replication of -1",
        )
    domains = _single(words, "domains") or "0"
    if not (domains.isascii() and domains.isdigit() and len(domains) < 6):
        raise UsageError(f"not a number of failure domains: {domains[:64]!r}")
    return PinStrategy(
        name=NAMES_BY_WORD[name],
        required=tuple(required),
        preferred=tuple(preferred),
        spread=spread,
        domains_min=int(domains),
    )


def strategy_words(strategy: PinStrategy) -> list[Tag]:
    """Return what `parse_strategy` reads as this strategy."""
    words = [("strategy", strategy.name.word)]
    words += [("require", f"{key}:{value}") for key, value in strategy.required]
    words += [("prefer", f"{key}:{value}") for key, value in strategy.preferred]
    if strategy.spread:
        words.append(("spread", strategy.spread))
    if strategy.domains_min:
        words.append(("domains", str(strategy.domains_min)))
    return words


def _single(words: list[Tag], wanted: str) -> str:
    found = [text for word, text in words if word == wanted]
    if len(found) > 1:
        raise UsageError(f"{wanted} is said once")
    return found[0] if found else ""


def _tag(text: str) -> Tag:
    key, separator, value = text.partition(":")
    if not separator:
        raise UsageError(f"not a tag: {text[:64]!r}", hint="as in region:eu")
    return key, value


@dataclass(frozen=True, slots=True)
class AgeRule:
    """How many copies a pin has that was ordered so long ago, or longer."""

    older_than_ms: int
    """From 0."""
    replication_min: int
    """At least 1."""
    replication_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAgeRules:
    """From now on these hold, and none that held before; none at all: the genesis's defaults.

    Raises:
        MalformedMessageError: On construction, if they make no sense.
    """

    rules: tuple[AgeRule, ...]
    """By age, the youngest first."""

    def __post_init__(self) -> None:
        if len(self.rules) > AGE_RULES_MAX:
            raise MalformedMessageError(f"at most {AGE_RULES_MAX} rules by age")
        last = -1
        for rule in self.rules:
            if not last < rule.older_than_ms <= TIME_MAX_MS:
                raise MalformedMessageError("rules by age have distinct ages, the youngest first")
            if not 1 <= rule.replication_min <= rule.replication_max <= PIN_REPLICATION_MAX:
                raise MalformedMessageError("a rule by age has 1 <= min <= max copies")
            last = rule.older_than_ms

    @property
    def subject(self) -> str:
        """What it is about, for people."""
        return "pins that do not say how many copies they have"

    def to_bytes(self) -> bytes:
        """Return the canonical encoding, an intent's ``operation``."""
        return codec.encode([AGE_RULES, rules_to_wire(self.rules)])


def parse_age_rules(items: list[Any]) -> SetAgeRules:
    """Return the operation that a decoded array stands for.

    Raises:
        MalformedMessageError: It stands for none.
    """
    _, rules = check_array(items, _AGES_SHAPE, "age rules")
    return SetAgeRules(rules=rules_from_wire(rules))


def rules_to_wire(rules: tuple[AgeRule, ...]) -> list[list[int]]:
    """Return rules as codec items."""
    return [[each.older_than_ms, each.replication_min, each.replication_max] for each in rules]


def rules_from_wire(items: list[Any]) -> tuple[AgeRule, ...]:
    """Return the rules that decoded items stand for, at most one more than there may be.

    Raises:
        MalformedMessageError: They stand for none.
    """
    found = [check_array(item, _AGE_RULE_SHAPE, "age rule") for item in items[: AGE_RULES_MAX + 1]]
    return tuple([AgeRule(age_ms, least, most) for age_ms, least, most in found])
