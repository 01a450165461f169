"""What a light peer has to be told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bftcluster.errors import ConfigError
from bftcluster.ids import PeerId
from bftcluster.node.process.config import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class LightConfig:
    """Who it is, whom it dials, and what it lends."""

    directory: Path
    """Where it remembers what was proven, and which roots stay."""
    identity: Path
    """The file with its Ed25519 seed."""
    genesis: Path
    relays: Mapping[PeerId, Sequence[str]]
    """Whom to dial, and where: two of distinct operators, so that one cannot hide anything."""
    blocks: Path
    """The directory of the block store."""
    quota_bytes: int
    name: str = ""
    """Shown to people; empty takes the end of its id."""
    fetches_max: int = 10
    """Contents fetched at the same time."""

    @classmethod
    def of(cls, config: Config) -> "LightConfig":
        """Return what the configuration of a peer says of one that runs as a light peer.

        Its relays are the peers of ``network.addresses``.

        Raises:
            ConfigError: It names none.
        """
        relays = config.addresses()
        if not relays:
            raise ConfigError(
                "network.addresses names no relay to dial",
                hint="`bftcluster peer init DIR --bootstrap relay/peer.txt` names one; two are "
                "better",
            )
        return cls(
            directory=config.directory,
            identity=config.path(config.peer.identity),
            genesis=config.path(config.cluster.genesis),
            relays=relays,
            blocks=config.path(config.storage.blocks),
            quota_bytes=config.quota_bytes,
            name=config.peer.name,
            fetches_max=config.tracker.fetches_max,
        )
