"""What somebody who lends room has chosen: a small file that the commands write and the peer reads.

It lies in the peer's directory and is looked at again and again, so that a choice holds whether or
not the peer runs, and after it was started again.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from bftcluster.errors import ConfigError

LOAN_FILE: Final = "lending.json"
_SIZE_MAX_BYTES: Final = 4096
TRAFFIC_FILE: Final = "traffic.json"
_KINDS: Final = {
    "quota_bytes": int,
    "is_light": bool,
    "is_paused": bool,
    "leaves": bool,
    "leaves_now": bool,
    "has_left": bool,
    "day_up_bytes": int,
    "day_down_bytes": int,
    "month_up_bytes": int,
    "month_down_bytes": int,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanChoice:
    """What was chosen."""

    quota_bytes: int
    """What all of the directory may take."""
    is_light: bool = False
    """Whether it is a light peer's, which keeps no ledger; as the invitation says."""
    is_paused: bool = False
    """Whether nothing new is taken; what is here is served."""
    leaves: bool = False
    """Whether the peer is to leave the cluster."""
    leaves_now: bool = False
    """Whether it does not wait until others hold what it holds."""
    has_left: bool = False
    """Whether a light peer left: no ledger of its own tells it so when it is started again."""
    day_up_bytes: int = 0
    """What the exchange of blocks may send in a day; 0: no bound, as for the next three."""
    day_down_bytes: int = 0
    month_up_bytes: int = 0
    month_down_bytes: int = 0

    @property
    def traffic(self) -> dict[str, int]:
        """The bounds on traffic, by their names there."""
        return {
            "day_up": self.day_up_bytes,
            "day_down": self.day_down_bytes,
            "month_up": self.month_up_bytes,
            "month_down": self.month_down_bytes,
        }

    @classmethod
    def load(cls, directory: Path) -> Self | None:
        """Return what was chosen for the peer in ``directory``; None if it is not lent.

        Raises:
            ConfigError: The file is damaged.
        """
        path = directory / LOAN_FILE
        try:
            with path.open("rb") as file:
                values = json.loads(file.read(_SIZE_MAX_BYTES))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as exc:
            raise ConfigError(f"{path} is damaged: {exc}") from None
        is_whole = isinstance(values, dict) and "quota_bytes" in values
        if not is_whole or any(type(values[key]) is not _KINDS.get(key) for key in values):
            raise ConfigError(
                f"{path} is damaged", hint="run `bftcluster lend --quota SIZE` for it again"
            )
        return cls(**values)

    def to_bytes(self) -> bytes:
        """Return what the file holds."""
        return json.dumps(asdict(self), indent=1).encode() + b"\n"
