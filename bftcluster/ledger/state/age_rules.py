"""The row of the rules by age: which hold, and how far pins were looked at since they changed."""

from dataclasses import dataclass
from typing import Final

from bftcluster import codec
from bftcluster.ledger.wire.age_rules import AgeRule, rules_from_wire, rules_to_wire

AGE_RULES_KEY: Final = b"age-rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeRules:
    """The rules that hold."""

    rules: tuple[AgeRule, ...] = ()
    """By age, the youngest first."""
    is_new: bool = False
    """Whether there are pins that were not looked at since they changed."""
    after: bytes = b""
    """The CID of the last one that was."""

    def rule_at(self, age_ms: int) -> AgeRule | None:
        """Return the rule for pins that were ordered so long ago; None: the genesis says it."""
        found = None
        for rule in self.rules:
            if rule.older_than_ms <= age_ms:
                found = rule
        return found

    def next_ms(self, ordered_ms: int, now_ms: int, period_ms: int) -> int | None:
        """Return when another rule is to be applied to a pin: when a period begins.

        Args:
            ordered_ms: When the pin was ordered.
            now_ms: Until then it was looked at.
            period_ms: How long a period is.
        """
        for rule in self.rules:
            begins_ms = -(-(ordered_ms + rule.older_than_ms) // period_ms) * period_ms
            if rule.older_than_ms > 0 and begins_ms > now_ms:
                return begins_ms
        return None


def age_rules_to_value(rules: AgeRules) -> bytes | None:
    """Return the row; ``None`` if there never were any."""
    if rules == AgeRules():
        return None
    return codec.encode([rules_to_wire(rules.rules), rules.is_new, rules.after])


def read_age_rules(value: bytes | None) -> AgeRules:
    """Return what a row holds."""
    if value is None:
        return AgeRules()
    rules, is_new, after = codec.decode(value)
    return AgeRules(rules=rules_from_wire(rules), is_new=is_new, after=after)
