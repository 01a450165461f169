"""What a light peer tells its owner, who has no API of it to ask: a small file, when it changes."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

STATUS_FILE: Final = "status.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class LightStatus:
    """How it is doing."""

    relays: int
    """How many it is connected to."""
    pins: int
    """How many it is to hold."""
    used_bytes: int
    """Taken by blocks."""

    def save(self, directory: Path) -> None:
        """Write the file; blocks. It is not synced: it says nothing that is not said again.

        A disk that is full does not end the peer for that: the file stays as it was.
        """
        new = directory / f"{STATUS_FILE}.new"
        with suppress(OSError):
            new.write_text(json.dumps(asdict(self)) + "\n", encoding="ascii")
            new.replace(directory / STATUS_FILE)

    @classmethod
    def load(cls, directory: Path) -> "LightStatus | None":
        """Return what was written last; None if nothing was that can be read."""
        try:
            values = json.loads((directory / STATUS_FILE).read_text(encoding="ascii"))
            return cls(**{name: int(values[name]) for name in cls.__slots__})
        except (OSError, ValueError, KeyError, TypeError):
            return None
