"""``bftcluster reputation``: how far a peer is trusted, and why."""

from typing import Annotated, Any, Final

import typer

from bftcluster_cli.client import Client, Record
from bftcluster_cli.commands.members import find_peer
from bftcluster_cli.display.standings import CAUSES, cell, percent
from bftcluster_cli.framework import noun, settings_of, verb
from bftcluster_cli.output import emit
from bftcluster_cli.untrusted_text import label, message

app = noun("reputation", "See how far a peer is trusted, and why.")

_DIGEST_SHOWN: Final = 16
_BARS: Final = "▁▂▃▄▅▆▇█"


@verb(
    app, "show", "bftcluster reputation show peer2", "bftcluster reputation show 12D3KooW… --json"
)
def show(
    ctx: typer.Context,
    peer: Annotated[str, typer.Argument(metavar="NAME|12D3…", help="By id also one that left.")],
) -> None:
    """Show where a peer stands, its three tracks, and the entries of the log behind them.

    Evidence is named by its digest and the number of the batch that ordered it.
    """
    from bftcluster.signing.keys import peer_id_text

    settings = settings_of(ctx)
    with Client(settings) as client:
        found = find_peer(client.list("/members") if not peer.startswith("12D3") else [], peer)
        record = client.get(f"/reputation/{peer_id_text(found)}")
    emit(settings, record, reputation_text(record))


def reputation_text(record: Record) -> str:
    """Return ``/reputation/{peer}`` for people."""
    name = label(str(record.get("name"))) if record.get("name") else "(left)"
    cause = CAUSES.get(str(record.get("cause")), cell(record, "cause"))
    lines = [
        f"peer          {name} ({label(str(record.get('id')), columns=64)})",
        f"standing      {cell(record, 'standing')} since {cell(record, 'standing_since')}",
        f"because       {cause}{_evidence_text(record.get('cause_evidence'))}",
        *_return_lines(record),
        f"score         {percent(record.get('score'))} of {cell(record, 'audits')} audits, the "
        f"latest count most{_last(record, 'last_failed', 'last failed')}",
        f"answered      {percent(record.get('answered'))} of its audits"
        f"{_last(record, 'last_unanswered', 'last missed')}",
        f"availability  {percent(record.get('availability'))}"
        f"{_last(record, 'last_missed', 'last absent')}",
        f"windows       {_bars(record.get('windows'))}",
        f"age           {cell(record, 'age_days')} days",
        f"weight        {cell(record, 'weight')}, {percent(record.get('share'))} of all",
        f"last seen     {cell(record, 'last_seen')}",
        f"evictions     {cell(record, 'evictions')}",
    ]
    return "\n".join(lines)


def _return_lines(record: Record) -> list[str]:
    lines = []
    if record.get("admissible_from"):
        lines.append(f"may return    from {cell(record, 'admissible_from')} on, if admitted again")
    if record.get("waits_for_eviction"):
        lines.append("ALARM         it is to be evicted, and too many are at once")
    if record.get("evidence"):
        lines.append(f"CONTRADICTED ITSELF, proof {cell(record, 'evidence')}")
    return lines


def _last(record: Record, key: str, words: str) -> str:
    text = _evidence_text(record.get(key))
    return f", {words}{text}" if text else ""


def _evidence_text(evidence: Any) -> str:  # noqa: ANN401 - decoded JSON
    if not isinstance(evidence, dict):
        return ""
    digest = message(str(evidence.get("digest"))[:_DIGEST_SHOWN])
    return f" (batch {message(str(evidence.get('seq')))}, {digest})"


def _bars(windows: Any) -> str:  # noqa: ANN401 - decoded JSON
    """Return a bar for each window of 12 hours, the oldest first."""
    if not isinstance(windows, list) or not windows:
        return "none of 12 hours is over"
    parts = [min(1.0, max(0.0, float(part))) for part in windows]
    return "".join(_BARS[round(part * (len(_BARS) - 1))] for part in parts)
