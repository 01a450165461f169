"""Which cluster a peer belongs to, so that nobody is tricked into signing for another.

A maintainer signs only for a cluster whose genesis is known: named with ``--genesis``, or met
before at the same address (remembered as ssh remembers host keys).
"""

import json
import os
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bftcluster.errors import ClusterError, ConfigError, RefusedError
from bftcluster.limits import CBOR_SIZE_MAX_BYTES
from bftcluster_cli.client import Client, Record
from bftcluster_cli.files import read_bounded, replace_file
from bftcluster_cli.framework import GlobalOptions
from bftcluster_cli.output import say
from bftcluster_cli.untrusted_text import label

if TYPE_CHECKING:
    from bftcluster.ids import MaintainerId
    from bftcluster.ledger.wire.genesis import Genesis
    from bftcluster.signing.policies import Policy

_KNOWN_SIZE_MAX_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What a maintainer's signature binds."""

    genesis: "Genesis"
    policy: "Policy"

    @property
    def label(self) -> str:
        """How people tell it from another: its name and the start of its id."""
        return f"{label(self.genesis.name)} ({self.genesis.cluster_id.hex()[:16]}…)"

    def name_of(self, maintainer: "MaintainerId") -> str:
        """Return the maintainer's name in the policy, or the key of somebody who is not in it."""
        from bftcluster.signing.keys import maintainer_text

        if maintainer in self.policy.positions:
            return self.policy.name_of(maintainer)
        return maintainer_text(maintainer)


def cluster_of(client: Client, settings: GlobalOptions) -> Cluster:
    """Return the cluster of the peer behind ``client``, once it is the one that is expected.

    Raises:
        RefusedError: It is another, or the peer contradicts itself.
    """
    from bftcluster.ledger.wire.genesis import Genesis
    from bftcluster.signing.policies import Policy

    genesis = Genesis.from_bytes(bytes_in(client.get("/genesis"), "bytes"))
    if settings.genesis is not None:
        expected = read_genesis(settings.genesis)
        if expected != genesis:
            raise RefusedError(
                f"{client.api} is of cluster {label(genesis.name)}, "
                f"not of that in {settings.genesis}",
                hint="check --api and --genesis; sign nothing before you know which one is right",
            )
    else:
        _check_known(client.api, genesis)
    policy = Policy.from_bytes(bytes_in(client.get("/policy"), "bytes"))
    if policy.version <= genesis.policy.version and policy != genesis.policy:
        raise RefusedError(
            f"{client.api} shows a policy that is not its cluster's",
            hint="this peer lies; use another with --api",
        )
    return Cluster(genesis=genesis, policy=policy)


def read_genesis(path: Path) -> "Genesis":
    """Return the genesis in a file.

    Raises:
        ConfigError: It holds none.
        UsageError: It cannot be read.
    """
    from bftcluster.ledger.wire.genesis import Genesis

    data = read_bounded(path, size_max_bytes=CBOR_SIZE_MAX_BYTES, what="genesis")
    try:
        return Genesis.from_bytes(data)
    except ClusterError as exc:
        raise ConfigError(
            f"{path} is not a genesis: {exc}", hint="make one with `bftcluster cluster init`"
        ) from None


def bytes_in(record: Record, field: str) -> bytes:
    """Return the bytes in a base64 field of a peer's answer.

    Raises:
        ClusterError: There are none.
    """
    try:
        return b64decode(record[field], validate=True)
    except (KeyError, TypeError, ValueError, Base64Error):
        raise ClusterError(f"the peer's answer has no {field}") from None


def known_clusters_path() -> Path:
    """Return where the ids of clusters met before are kept."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base else Path.home() / ".config") / "bftcluster" / "known_clusters.json"


def _check_known(api: str, genesis: "Genesis") -> None:
    path = known_clusters_path()
    known = _read_known(path)
    cluster_id = genesis.cluster_id.hex()
    if known.get(api) == cluster_id:
        return
    if api in known:
        raise RefusedError(
            f"{api} belongs to another cluster than last time: "
            f"{label(genesis.name)}, {cluster_id[:16]}… instead of {known[api][:16]}…",
            hint=f"if that is right, pass its genesis with --genesis, or remove {api} from {path}",
        )
    if cluster_id not in known.values():
        say(
            f"first contact with cluster {label(genesis.name)}, id {cluster_id}\n"
            f"(remembered in {path}; pass --genesis FILE to be sure which one it is)"
        )
    known[api] = cluster_id
    replace_file(path, json.dumps(known, indent=1, sort_keys=True).encode() + b"\n", mode=0o600)


def _read_known(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    data = read_bounded(path, size_max_bytes=_KNOWN_SIZE_MAX_BYTES, what="list of known clusters")
    try:
        known = json.loads(data)
    except ValueError:
        known = None
    if not isinstance(known, dict) or not all(isinstance(item, str) for item in known.values()):
        raise ConfigError(f"{path} is damaged", hint=f"rm {path}")
    return known
