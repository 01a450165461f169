"""What is lent, and how the peer is doing: a full one is asked, a light one has written it down."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bftcluster.errors import ClusterError
from bftcluster_cli.client import Client
from bftcluster_cli.framework import GlobalOptions
from bftcluster_cli.output import plural, size_text

if TYPE_CHECKING:
    from bftcluster.node.process.loan_file import LoanChoice


def status_of(
    place: Path, choice: "LoanChoice", settings: GlobalOptions, *, api: str
) -> tuple[dict[str, Any], str]:
    """Return how the loan in a directory is doing: for programs, and for people."""
    record = _light_record(place) if choice.is_light else _full_record(settings, api)
    storage = record.get("storage") or {}
    what = _state_of(choice)
    doing = f"runs, {record.get('role')}" if record.get("runs") else "does not run"
    held = f", {size_text(int(storage['used_bytes']))} taken by blocks" if storage else ""
    shown = {
        "directory": str(place),
        "state": what,
        "quota_bytes": choice.quota_bytes,
        "is_running": bool(record.get("runs")),
        "role": record.get("role"),
        "used_bytes": storage.get("used_bytes"),
    }
    return shown, f"{what} {size_text(choice.quota_bytes)} in {place}{held}\nthe peer {doing}"


def _state_of(choice: "LoanChoice") -> str:
    if choice.has_left:
        return "left"
    return "leaving" if choice.leaves else "paused" if choice.is_paused else "lending"


def _light_record(place: Path) -> dict[str, Any]:
    """Return what a light peer wrote down, in the shape in which a full one is asked."""
    from bftcluster.node.light.status_file import LightStatus
    from bftcluster.storage.lock import is_locked

    status = LightStatus.load(place)
    if status is None:
        return {}
    role = f"light, at {plural(status.relays, 'relay')}, {plural(status.pins, 'pin')}"
    return {
        "runs": is_locked(place),
        "role": role,
        "storage": {"used_bytes": status.used_bytes},
    }


def _full_record(settings: GlobalOptions, api: str) -> dict[str, Any]:
    """Return what a full peer says of itself; nothing if it does not run."""
    try:
        with Client(replace(settings, api=f"http://{api}")) as client:
            return {**client.get("/status"), "runs": True}
    except ClusterError:
        return {}
