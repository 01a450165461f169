"""Where a peer stands, in words."""

from typing import Any, Final

from bftcluster_cli.untrusted_text import message

CAUSES: Final = {
    "admitted": "it was admitted, and is not vetted yet",
    "vetted": "it was audited often enough, for long enough",
    "sound": "it is sound again after a suspension",
    "wrong-data": "data that it should have was wrong or missing",
    "unanswered": "too many of its audits had no answer",
    "absent": "it was absent too often",
    "suspended-too-long": "it was suspended too long",
    "fraud": "it contradicted itself under its own signature",
    "founded": "the genesis names it",
}
_UNDOUBTED: Final = frozenset({"active", "candidate"})


def standing_note(record: dict[str, Any]) -> str:
    """Return why a peer gets no new pins, if it gets none; empty otherwise."""
    standing = str(record.get("standing"))
    if standing in _UNDOUBTED or not record.get("standing"):
        return ""
    cause = CAUSES.get(str(record.get("cause")), cell(record, "cause"))
    alarm = "; TO BE EVICTED, and too many are at once" if record.get("waits_for_eviction") else ""
    return f"{cell(record, 'standing')} since {cell(record, 'standing_since')}: {cause}{alarm}"


def percent(share: Any) -> str:  # noqa: ANN401 - decoded JSON
    """Return a share in per cent, with one decimal."""
    return f"{float(share or 0):.1%}"


def cell(record: dict[str, Any], key: str) -> str:
    """Return one value of a record as text that cannot harm a terminal."""
    value = record.get(key)
    return "-" if value is None or value == "" else message(str(value))
