"""What a peer is let in with, in words: how much may rest on it, whose it is, and where it is."""

from typing import TYPE_CHECKING, Final

from bftcluster_cli.output import size_text
from bftcluster_cli.untrusted_text import LABEL_MAX_COLUMNS, label, quoted

if TYPE_CHECKING:
    from bftcluster.ledger.wire.peer_terms import PeerTerms

_MEANINGS: Final = {
    "own": "of those who run the cluster",
    "partner": "of somebody who has agreed to keep it up",
    "volunteer": "lent by anybody, who may take it back",
}
_LIGHT: Final = "it dials relays, and keeps no ledger of others"
_UNNAMED: Final = "(none: counts as one with all others that have none)"


def terms_lines(terms: "PeerTerms") -> list[str]:
    """Return what a maintainer should know before signing, one line for each thing."""
    word = terms.quota_class.word
    size = size_text(terms.capacity_bytes)
    capacity = f"{size} at most, whatever it says" if terms.capacity_bytes else "none: no pins"
    return [
        f"capacity     {capacity}",
        f"class        {word}: {_MEANINGS[word]}",
        f"domain       {quoted(terms.domain) if terms.domain else _UNNAMED}",
        f"operator     {quoted(terms.operator) if terms.operator else _UNNAMED}",
        *([f"light        {_LIGHT}"] if terms.is_light else []),
    ]


def terms_text(terms: "PeerTerms") -> str:
    """Return all of it in one line."""
    domain = quoted(terms.domain, LABEL_MAX_COLUMNS) if terms.domain else "no domain"
    operator = quoted(terms.operator, LABEL_MAX_COLUMNS) if terms.operator else "no operator"
    said = f"{size_text(terms.capacity_bytes)}, {terms.quota_class.word}, {domain}, {operator}"
    return f"{said}, light" if terms.is_light else said


def place_text(text: object) -> str:
    """Return a domain or operator that a peer's API told, in a column."""
    return label(str(text)) if text else "-"
