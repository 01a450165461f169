"""By what the holders of a pin are chosen, in words."""

from typing import TYPE_CHECKING

from bftcluster_cli.untrusted_text import LABEL_MAX_COLUMNS, quoted

if TYPE_CHECKING:
    from bftcluster.ledger.wire.pin_strategy import PinStrategy, Tag


def strategy_lines(strategy: "PinStrategy | None") -> list[str]:
    """Return what a maintainer should know before signing; nothing if it is as usual."""
    if strategy is None:
        return []
    meanings = {
        "balanced": "by free space, how far a peer is trusted, and its age",
        "freespace": "by free space alone",
        "tags": "by what peers say of themselves, then as balanced",
    }
    lines = [f"{strategy.name.word}: {meanings[strategy.name.word]}"]
    lines += [f"all have {_tag(tag)}" for tag in strategy.required]
    lines += [f"first those with {_tag(tag)}" for tag in strategy.preferred]
    if strategy.spread:
        lines.append(f"of different {quoted(strategy.spread, LABEL_MAX_COLUMNS)}, if there are")
    if strategy.domains_min:
        lines.append(f"in {strategy.domains_min} failure domains at least")
    return lines


def _tag(tag: "Tag") -> str:
    key, value = (quoted(text, LABEL_MAX_COLUMNS) for text in tag)
    return f"{key}={value}"
