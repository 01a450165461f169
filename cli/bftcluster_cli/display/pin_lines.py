"""How far pins are: one line each, saying who is behind and why."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bftcluster.errors import NotReachedError
from bftcluster.shell_limits import POLL_PACE_MAX_S, POLL_PACE_MIN_S
from bftcluster_cli.client import Client, NotThereError, Record
from bftcluster_cli.output import plural, size_text
from bftcluster_cli.untrusted_text import label, message

PINNED: Final = "pinned"
_FAILED: Final = frozenset({"pin_error", "cluster_error", "unpin_error"})
ADVICE: Final = (
    "a peer that failed tries again by itself; if nobody has the content any more, bring it to any "
    "peer with `bftcluster add PATH --no-pin`; if a disk is full, give that peer a larger quota, "
    "or unpin something"
)
"""What to do about a peer that has given up for now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A peer that is to hold a pin, and how far it says it is."""

    peer: str
    name: str
    status: str
    error: str
    attempts: int
    is_down: bool
    """The peer that was asked has no link to it."""

    @property
    def text(self) -> str:
        """``peer3 pinning (attempt 2): no provider``."""
        if self.is_down:
            return f"{self.name} unreachable"
        attempt = f" (attempt {self.attempts})" if self.attempts > 1 else ""
        return f"{self.name} {self.status}{attempt}" + (f": {self.error}" if self.error else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class PinProgress:
    """One committed pin."""

    cid: str
    name: str
    holders: tuple[Holder, ...]
    """Those allocated, sorted by name; everybody, if it is pinned everywhere."""
    others: tuple[Holder, ...] = field(default=())
    size_bytes: int | None = None
    """What is behind it; None if the pin does not name it."""
    blocks: int | None = None

    @property
    def wanted(self) -> int:
        """How many peers are to hold it."""
        return len(self.holders)

    @property
    def replicated(self) -> int:
        """How many of them do."""
        return sum(holder.status == PINNED for holder in self.holders)

    @property
    def behind(self) -> tuple[Holder, ...]:
        """Those that do not yet."""
        return tuple(holder for holder in self.holders if holder.status != PINNED)

    @property
    def has_failed(self) -> bool:
        """Whether a peer has given up for now."""
        return any(holder.status in _FAILED for holder in self.behind)

    @property
    def line(self) -> str:
        """The pin in one line."""
        parts = [
            label(self.cid, columns=96),
            label(self.name) if self.name else "",
            self._contents,
            "committed",
            f"replicated {self.replicated}/{self.wanted}",
        ]
        if self.behind:
            parts.append(f"behind: {'; '.join(each.text for each in self.behind)}")
        if lost := [each.name for each in self.holders if each.is_down and each.status == PINNED]:
            parts.append(f"held but unreachable: {', '.join(lost)}")
        return "  ".join(filter(None, parts))

    @property
    def _contents(self) -> str:
        if self.size_bytes is None or self.blocks is None:
            return ""
        return f"{size_text(self.size_bytes)} in {plural(self.blocks, 'block')}"

    @property
    def record(self) -> dict[str, object]:
        """The pin as JSON."""
        return {
            "cid": self.cid,
            "name": self.name,
            "committed": True,
            "replicated": self.replicated,
            "wanted": self.wanted,
            "size_bytes": self.size_bytes,
            "blocks": self.blocks,
            "holders": [_holder_record(holder) for holder in self.holders],
        }


def progress_of(status: Record, down: Collection[str] = ()) -> PinProgress:
    """Return the progress in a ``GlobalPinInfo`` of a pin that is committed.

    Args:
        status: By the peer's word.
        down: The ids of peers that it has no link to.
    """
    peer_map = status.get("peer_map") or {}
    allocations = status.get("allocations") or list(peer_map)
    holders = [_holder(peer, peer_map.get(peer) or {}, down) for peer in allocations]
    others = [_holder(peer, peer_map[peer], down) for peer in peer_map if peer not in allocations]
    return PinProgress(
        cid=str(status.get("cid", "")),
        name=str(status.get("name", "")),
        holders=tuple(sorted(holders, key=lambda holder: (holder.name, holder.peer))),
        others=tuple(sorted(others, key=lambda holder: (holder.name, holder.peer))),
        size_bytes=_count(status, "size_bytes"),
        blocks=_count(status, "blocks"),
    )


def _count(status: Record, key: str) -> int | None:
    value = status.get(key)
    return value if isinstance(value, int) and value >= 0 else None


def pin_progress(client: Client, cid: str) -> PinProgress | None:
    """Return how far one pin is, or None if it is not committed.

    Raises:
        ClusterError: The peer cannot say.
    """
    try:
        client.get(f"/allocations/{cid}")
    except NotThereError:
        return None
    return progress_of(client.get(f"/pins/{cid}"), unreachable_peers(client))


def unreachable_peers(client: Client) -> frozenset[str]:
    """Return the ids of the peers that the peer behind ``client`` has no link to."""
    links = client.get("/status").get("links") or []
    return frozenset(str(link.get("peer")) for link in links if not link.get("connected"))


def wait_until_replicated(
    client: Client, cid: str, *, on_progress: Callable[[PinProgress], None]
) -> PinProgress:
    """Return once every allocated peer holds the pin.

    Args:
        client: The peer to ask.
        cid: What is pinned.
        on_progress: Called with every answer.

    Raises:
        NotReachedError: Not within the client's timeout.
    """
    end_s = time.monotonic() + client.timeout_s
    pause_s = POLL_PACE_MIN_S
    while True:
        progress = pin_progress(client, cid)
        if progress is not None:
            on_progress(progress)
            if not progress.behind:
                return progress
        if time.monotonic() >= end_s:
            what, hint = _why_not(client, cid, progress)
            raise NotReachedError(
                f"not replicated within {client.timeout_s:.0f} s: {what}", hint=hint
            )
        time.sleep(pause_s)  # the API tells nothing by itself: ask again, ever more rarely
        pause_s = min(pause_s * 1.5, POLL_PACE_MAX_S)


def _why_not(client: Client, cid: str, progress: PinProgress | None) -> tuple[str, str]:
    """Return why a pin is not replicated, and what can be done about it."""
    if progress is not None:
        again = "the peers keep trying: ask again with `bftcluster pin status`"
        return progress.line, ADVICE if progress.has_failed else again
    for proposal in client.lines("/proposals"):
        if proposal.get("cid") == cid:
            digest = message(str(proposal.get("digest")))[:12]
            return "it waits for approvals", f"`bftcluster pin approve {digest}`"
    return "nobody has proposed it", f"propose it with `bftcluster pin add {cid}`"


def _holder(peer: str, entry: Mapping[str, Any], down: Collection[str]) -> Holder:
    attempts = entry.get("attempt_count", 0)
    return Holder(
        peer=peer,
        name=label(str(entry.get("peername") or f"…{peer[-8:]}")),
        status=message(str(entry.get("status") or "has not reported")),
        error=message(str(entry.get("error") or "")),
        attempts=attempts if isinstance(attempts, int) else 0,
        is_down=peer in down,
    )


def _holder_record(holder: Holder) -> dict[str, object]:
    return {
        "peer": holder.peer,
        "name": holder.name,
        "status": holder.status,
        "error": holder.error,
        "attempts": holder.attempts,
        "reachable": not holder.is_down,
    }
