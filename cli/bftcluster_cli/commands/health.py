"""``bftcluster cluster health``: what is short or missing, and what the next failure would cost."""

from typing import Any, Final

import typer

from bftcluster_cli.client import Client, Record
from bftcluster_cli.display.standings import cell
from bftcluster_cli.framework import settings_of, verb
from bftcluster_cli.output import emit, size_text
from bftcluster_cli.untrusted_text import label, message

EXIT_CODES: Final = {"healthy": 0, "degraded": 1, "endangered": 2}
"""As monitors know them; who cannot be reached is 3, as everywhere."""
_NAMES_SHOWN_MAX: Final = 8


def register(app: typer.Typer) -> None:
    """Add the command to the noun ``cluster``."""
    verb(app, "health", "bftcluster cluster health", "bftcluster cluster health --json")(health)


def health(ctx: typer.Context) -> None:
    """Show how the cluster is, as one peer sees it, and what the next failure would cost.

    Exit codes, as monitors know them: 0 healthy, 1 degraded (somebody should look), 2 endangered
    (one failure more loses content or stops the order, or one has), 3 not reached.
    """
    settings = settings_of(ctx)
    with Client(settings) as client:
        record = client.get("/health/cluster")
    emit(settings, record, health_text(record))
    raise typer.Exit(EXIT_CODES.get(str(record.get("grade")), EXIT_CODES["endangered"]))


def health_text(record: Record) -> str:
    """Return ``/health/cluster`` for people."""
    pins, peers, voters = (_part(record, key) for key in ("pins", "peers", "voters"))
    room, beacon = _part(record, "room"), _part(record, "beacon")
    lines = [
        f"cluster    {cell(record, 'grade').upper()}",
        *(f"  {cell(each, 'grade')}: {cell(each, 'text')}" for each in _list(record, "findings")),
        f"pins       {cell(pins, 'total')}, {cell(pins, 'waiting_for_repair')} wait for repair",
        f"copies     {_counts_text(pins.get('counted'))}",
        f"peers      {cell(peers, 'members')}, {cell(peers, 'joined')} have joined",
        *_name_lines("absent", peers),
        *_name_lines("suspended", peers),
        f"voters     {cell(voters, 'reached')} of {cell(voters, 'count')} reached, "
        f"{cell(voters, 'quorum')} must agree: {cell(voters, 'may_fail')} more may fail",
        f"beacon     {_beacon_text(beacon)}",
        f"room       {_size(room, 'free_bytes')} free of {_size(room, 'capacity_bytes')}",
        *map(_loss_line, _list(record, "next_failure")),
    ]
    return "\n".join(lines)


def _counts_text(counts: Any) -> str:  # noqa: ANN401 - decoded JSON
    if not isinstance(counts, dict):
        return "not counted yet"
    words = ("enough", "arriving", "short", "endangered", "missing")
    shown = ", ".join(f"{cell(counts, word)} {word}" for word in words)
    return f"{shown}, counted {cell(counts, 'at')}"


def _beacon_text(beacon: Record) -> str:
    if beacon.get("last") is None:
        return "none yet"
    return f"of period {cell(beacon, 'last')}, it is {cell(beacon, 'period')}"


def _name_lines(key: str, peers: Record) -> list[str]:
    names = [label(str(name)) for name in peers.get(key) or []]
    shown = names[:_NAMES_SHOWN_MAX]
    if more := len(names) - len(shown):
        shown.append(f"and {more} more")
    return [f"{key.ljust(10)} {', '.join(shown)}"] if names else []


def _loss_line(loss: Record) -> str:
    """Return what would follow if one peer or domain failed for good."""
    peers = loss.get("peers") or []
    what = "peer" if len(peers) == 1 else f"domain of {len(peers)} peers"
    short = loss.get("pins_short")
    pins = "not counted yet" if short is None else f"{message(str(short))} pins short of a copy"
    fits = "others have room for it" if loss.get("fits") else "NO ROOM for it"
    name = label(str(loss.get("of") or "(none)"))
    moved, room = _size(loss, "moved_bytes"), _size(loss, "room_bytes")
    return f"if lost    {what} {name}: {pins}, {moved} to copy, {room} free elsewhere: {fits}"


def _size(record: Record, key: str) -> str:
    return size_text(int(record.get(key) or 0))


def _part(record: Record, key: str) -> Record:
    part = record.get(key)
    return part if isinstance(part, dict) else {}


def _list(record: Record, key: str) -> list[Record]:
    return [each for each in record.get(key) or [] if isinstance(each, dict)]
