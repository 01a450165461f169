"""Reads the file that says which cluster a process belongs to."""

from pathlib import Path
from typing import Final

from bftcluster.errors import ClusterError, ConfigError
from bftcluster.ledger.wire.genesis import Genesis

_GENESIS_SIZE_MAX_BYTES: Final = 4 << 20


def load_genesis(path: Path) -> Genesis:
    """Return the genesis in ``path``.

    Raises:
        ConfigError: Missing, or not a genesis.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_GENESIS_SIZE_MAX_BYTES + 1)
        return Genesis.from_bytes(data)
    except FileNotFoundError:
        raise ConfigError(
            f"no genesis at {path}",
            hint="copy the file that `bftcluster cluster init` wrote there",
        ) from None
    except OSError as exc:
        raise ConfigError(f"cannot read {path}: {exc.strerror}") from None
    except ClusterError as exc:
        raise ConfigError(f"{path} is not a genesis: {exc}") from None
