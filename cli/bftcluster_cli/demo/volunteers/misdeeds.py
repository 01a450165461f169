"""What the dishonest ones do, a step at a time: a process cannot be left alone with a thread."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bftcluster_cli.demo.volunteers.crowd import Volunteer

_AWAY_S: Final = 30.0
_BACK_S: Final = 6.0
"""A flapping peer is heard in less than half of the periods of ten seconds."""


@dataclass(slots=True, kw_only=True)
class Deletion:
    """Removes the files of a peer's blocks under it, again and again; it runs on."""

    volunteer: Volunteer
    deleted: int = 0
    is_on: bool = False

    def step(self) -> None:
        """Delete what is there now."""
        if not self.is_on:
            return
        for path in Path(self.volunteer.peer.directory, "blocks").rglob("*.data"):
            path.unlink(missing_ok=True)
            self.deleted += 1


@dataclass(slots=True, kw_only=True)
class Flapping:
    """Kills a peer, starts it again, and so on."""

    volunteer: Volunteer
    is_on: bool = False
    kills: int = 0
    _next_s: float = field(default=0.0)

    def step(self) -> None:
        """Kill or start it, if that is due."""
        if not self.is_on or time.monotonic() < self._next_s:
            return
        peer = self.volunteer.peer
        if peer.process is None:
            peer.start()
            self._next_s = time.monotonic() + _BACK_S
        else:
            peer.kill()
            self.kills += 1
            self._next_s = time.monotonic() + _AWAY_S
