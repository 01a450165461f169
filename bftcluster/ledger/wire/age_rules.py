"""The operation that says how many copies pins get by their age, unless they say it themselves."""

from dataclasses import dataclass
from typing import Any, Final

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.limits import AGE_RULES_MAX, PIN_REPLICATION_MAX, TIME_MAX_MS
from bftcluster.signing.wire import check_array

AGE_RULES: Final = 6
_SHAPE: Final[list[type]] = [int, list]
_RULE_SHAPE: Final[list[type]] = [int, int, int]


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
    def label(self) -> str:
        """One word for its kind."""
        return "age-rules"

    @property
    def cid(self) -> None:
        """Return None: this is about no content."""
        return

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
    _, rules = check_array(items, _SHAPE, "age rules")
    return SetAgeRules(rules=rules_from_wire(rules))


def rules_to_wire(rules: tuple[AgeRule, ...]) -> list[list[int]]:
    """Return rules as codec items."""
    return [[each.older_than_ms, each.replication_min, each.replication_max] for each in rules]


def rules_from_wire(items: list[Any]) -> tuple[AgeRule, ...]:
    """Return the rules that decoded items stand for, at most one more than there may be.

    Raises:
        MalformedMessageError: They stand for none.
    """
    found = [check_array(item, _RULE_SHAPE, "age rule") for item in items[: AGE_RULES_MAX + 1]]
    return tuple([AgeRule(age_ms, least, most) for age_ms, least, most in found])
