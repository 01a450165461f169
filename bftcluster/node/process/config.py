"""A peer's configuration: one TOML file, every value with a default, nothing unknown accepted."""

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from bftcluster.api.settings import ApiSettings
from bftcluster.errors import ConfigError, UsageError
from bftcluster.ids import PeerId
from bftcluster.limits import LIGHT_PEERS_MAX, PEER_TAG_MAX_CHARS, PEER_TAGS_MAX
from bftcluster.node.process.quantities import parse_address, parse_multiaddr, parse_size
from bftcluster.shell_limits import CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX
from bftcluster.signing.keys import parse_peer_id

CONFIG_FILE: Final = "config.toml"
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
LOG_FORMATS: Final = ("text", "json")
KEEP_ALL: Final = "all"
STATE_RATE_MIN_BYTES_PER_S: Final = 64_000
SCRUB_RATE_MIN_BYTES_PER_S: Final = 64_000


def setting(default: Any, doc: str) -> Any:  # noqa: ANN401 - typed by the field's annotation
    """Return a dataclass field with its default and the line that explains it."""
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata={"doc": doc})
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSection:
    """Who this peer is."""

    name: str = setting("", "shown to people; empty takes the name in the genesis")
    tags: dict[str, str] = setting(
        {}, "what it says of itself, for example region = 'eu': pins may ask for it"
    )
    identity: str = setting("identity.key", "file with the peer's Ed25519 seed, mode 0600")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSection:
    """Which cluster it belongs to."""

    genesis: str = setting("genesis.cbor", "the file that `bftcluster cluster init` wrote")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSection:
    """How peers reach each other."""

    listen: list[str] = setting(["/ip4/0.0.0.0/tcp/9096"], "multiaddrs to listen on")
    addresses: dict[str, list[str]] = setting(
        {}, "peer id = multiaddrs; overrides what the ledger says"
    )
    heartbeat_interval_ms: int = setting(1000, "how often a quiet link says it is alive")
    peer_timeout_ms: int = setting(5000, "silence after which a link counts as down")
    relay: bool = setting(False, "light peers may connect, and are served")
    light_peers_max: int = setting(1000, "of them, so many at once")
    state_rate_max: str = setting(
        "32MB", "most that peers which fetch the state get of it per second, all together"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSection:
    """The HTTP API."""

    listen: list[str] = setting(["127.0.0.1:9094"], "HOST:PORT to serve on; empty serves nothing")
    maintainer_key: str = setting(
        "", "unencrypted key file in whose name unsigned API requests propose; empty refuses them"
    )
    allowed_hosts: list[str] = setting([], "names besides localhost and IPs that Host may carry")
    allowed_origins: list[str] = setting([], "origins of web pages that may change something")
    connections_per_address_max: int = setting(
        CONNECTIONS_PER_ADDRESS_MAX, "open at once from one address, as a proxy is"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSection:
    """What is kept on disk, and how much of it."""

    blocks: str = setting("blocks", "directory of the block store")
    quota: str = setting("10GB", "most that blocks may take; never exceeded")
    scrub_rate: str = setting(
        "4MB", "most that is read per second to find damaged blocks before a reader does; 0 never"
    )
    database: str = setting("", "SQLAlchemy URL of the ledger; empty is SQLite in this directory")
    wal: str = setting("wal", "directory of the write-ahead log of votes")
    keep_log: str = setting(
        "all",
        "log entries to keep, in checkpoints before the last stable one; all proves who approved "
        "what for ever, and serves others that lag",
    )
    log_budget: str = setting(
        "20GB",
        "most that the log should take, beside the quota; at the budget this peer takes no more "
        "requests from its own clients, and goes on following",
    )
    fsync: bool = setting(
        True, "false risks contradicting votes after a power cut: benchmarks only"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PbftSection:
    """How requests are ordered."""

    batch_requests_max: int = setting(100, "requests in a batch, at most")
    batch_delay_ms: int = setting(0, "wait for a fuller batch this long; 0 proposes at once")
    slots_in_flight_max: int = setting(4, "batches ordered at the same time")
    request_timeout_ms: int = setting(
        400, "a request undecided for this long is shown to every replica"
    )
    view_change_timeout_ms: int = setting(
        800, "no progress for this long after that makes them ask for another primary"
    )
    state_fetch_behind: int = setting(
        10_000, "further behind than this many batches, fetch the state rather than all the log"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerSection:
    """Fetching what is allocated here."""

    fetches_max: int = setting(10, "contents fetched at the same time")
    report_delay_ms: int = setting(50, "wait to put more into one signed report")
    report_interval_ms: int = setting(1000, "signed reports are so far apart, unless one is full")
    announce_interval_s: int = setting(
        300,
        "how often free space is announced, and that this peer is there; more rarely where there "
        "are more than four peers, up to a third of the cluster's period",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSection:
    """Logs go to stderr."""

    level: str = setting("info", f"one of {', '.join(LOG_LEVELS)}")
    levels: dict[str, str] = setting({}, "component = level, for example net = 'debug'")
    format: str = setting("text", "text or json")
    frames: str = setting(
        "", "file to append every message of other replicas to, as JSON lines; empty keeps none"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything a peer can be told. ``directory`` is where relative paths start."""

    directory: Path
    peer: PeerSection = field(default_factory=PeerSection)
    cluster: ClusterSection = field(default_factory=ClusterSection)
    network: NetworkSection = field(default_factory=NetworkSection)
    api: ApiSection = field(default_factory=ApiSection)
    storage: StorageSection = field(default_factory=StorageSection)
    pbft: PbftSection = field(default_factory=PbftSection)
    tracker: TrackerSection = field(default_factory=TrackerSection)
    log: LogSection = field(default_factory=LogSection)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Return the checked configuration of the peer that lives in ``directory``.

        Raises:
            ConfigError: Missing, not TOML, an unknown key, or a value out of range.
        """
        path = directory / CONFIG_FILE
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(
                f"no {CONFIG_FILE} in {directory}",
                hint=f"make one with `bftcluster peer init {directory}`",
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
            raise ConfigError(
                f"{path} is not TOML: {exc}",
                hint="mend that line; `bftcluster peer init` in an empty directory shows the form",
            ) from None
        return cls.from_values(directory, values)

    @classmethod
    def from_values(cls, directory: Path, values: Mapping[str, Any]) -> Self:
        """Return the checked configuration that ``values``, as parsed from TOML, describe."""
        sections = {f.name: f for f in dataclasses.fields(cls) if f.name != "directory"}
        _refuse_unknown("section", values, sections)
        built: dict[str, Any] = {
            name: _build(name, sections[name].default_factory, section_values)
            for name, section_values in values.items()
        }
        config = cls(directory=directory, **built)
        config.check()
        return config

    def check(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: Naming the key.
        """
        self._check_tags()
        for text in self.network.listen:
            parse_multiaddr(text, key="network.listen")
        for peer, texts in self.network.addresses.items():
            _check_peer(peer)
            for text in texts:
                parse_multiaddr(text, key=f"network.addresses.{peer}")
        for text in self.api.listen:
            parse_address(text, key="api.listen")
        parse_size(self.storage.quota, key="storage.quota")
        parse_size(self.storage.log_budget, key="storage.log_budget")
        scrub = parse_size(self.storage.scrub_rate, key="storage.scrub_rate")
        if 0 < scrub < SCRUB_RATE_MIN_BYTES_PER_S:
            raise ConfigError(
                f"storage.scrub_rate = {self.storage.scrub_rate!r} is less than 64KB, and not 0"
            )
        rate = parse_size(self.network.state_rate_max, key="network.state_rate_max")
        if rate < STATE_RATE_MIN_BYTES_PER_S:
            raise ConfigError(
                f"network.state_rate_max = {self.network.state_rate_max!r} is less than 64KB"
            )
        kept = self.storage.keep_log
        if kept != KEEP_ALL and not (kept.isascii() and kept.isdecimal() and int(kept) >= 2):
            raise ConfigError(f"storage.keep_log = {kept!r} is neither all nor 2 or more")
        for component, level in [("level", self.log.level), *self.log.levels.items()]:
            _one_of(f"log.{component}", level, LOG_LEVELS)
        _one_of("log.format", self.log.format, LOG_FORMATS)
        for key, value, low, high in self._ranges():
            if not low <= value <= high:
                raise ConfigError(f"{key} = {value} is not between {low} and {high}")

    def _check_tags(self) -> None:
        tags = self.peer.tags
        if len(tags) > PEER_TAGS_MAX:
            raise ConfigError(f"peer.tags has {len(tags)}, at most {PEER_TAGS_MAX}")
        for key, value in tags.items():
            for text in (key, value):
                if not (1 <= len(text) <= PEER_TAG_MAX_CHARS and text.isprintable()):
                    raise ConfigError(
                        f"peer.tags.{key}: each has 1 to {PEER_TAG_MAX_CHARS} readable characters"
                    )

    def _ranges(self) -> list[tuple[str, int, int, int]]:
        return [
            ("network.heartbeat_interval_ms", self.network.heartbeat_interval_ms, 50, 60_000),
            ("network.light_peers_max", self.network.light_peers_max, 1, LIGHT_PEERS_MAX),
            ("network.peer_timeout_ms", self.network.peer_timeout_ms, 200, 600_000),
            (
                "api.connections_per_address_max",
                self.api.connections_per_address_max,
                1,
                CONNECTIONS_MAX,
            ),
            ("pbft.batch_requests_max", self.pbft.batch_requests_max, 1, 1000),
            ("pbft.batch_delay_ms", self.pbft.batch_delay_ms, 0, 10_000),
            ("pbft.slots_in_flight_max", self.pbft.slots_in_flight_max, 1, 64),
            ("pbft.view_change_timeout_ms", self.pbft.view_change_timeout_ms, 50, 60_000),
            ("pbft.request_timeout_ms", self.pbft.request_timeout_ms, 50, 600_000),
            ("pbft.state_fetch_behind", self.pbft.state_fetch_behind, 1, 1 << 40),
            ("tracker.fetches_max", self.tracker.fetches_max, 1, 1000),
            ("tracker.report_delay_ms", self.tracker.report_delay_ms, 0, 60_000),
            ("tracker.report_interval_ms", self.tracker.report_interval_ms, 0, 60_000),
            ("tracker.announce_interval_s", self.tracker.announce_interval_s, 1, 21_600),
        ]

    def addresses(self) -> dict[PeerId, tuple[str, ...]]:
        """Return where the configuration says to reach peers."""
        return {parse_peer_id(text): tuple(found) for text, found in self.network.addresses.items()}

    def path(self, relative: str) -> Path:
        """Return a path of the configuration, relative to its directory unless absolute."""
        return self.directory / relative

    @property
    def quota_bytes(self) -> int:
        """``storage.quota`` in bytes."""
        return parse_size(self.storage.quota, key="storage.quota")

    @property
    def log_budget_bytes(self) -> int:
        """``storage.log_budget`` in bytes."""
        return parse_size(self.storage.log_budget, key="storage.log_budget")

    @property
    def scrub_rate_bytes_per_s(self) -> int:
        """``storage.scrub_rate`` in bytes."""
        return parse_size(self.storage.scrub_rate, key="storage.scrub_rate")

    @property
    def state_rate_bytes_per_s(self) -> int:
        """``network.state_rate_max`` in bytes."""
        return parse_size(self.network.state_rate_max, key="network.state_rate_max")

    def api_settings(self) -> ApiSettings:
        """Return the section of the HTTP API as it takes it."""
        return ApiSettings(
            listen=tuple(self.api.listen),
            allowed_hosts=tuple(self.api.allowed_hosts),
            allowed_origins=tuple(self.api.allowed_origins),
            connections_per_address_max=self.api.connections_per_address_max,
        )

    @property
    def is_log_cut(self) -> bool:
        """Whether ``storage.keep_log`` keeps less than all."""
        return self.storage.keep_log != KEEP_ALL

    def log_kept_seqs(self, checkpoint_interval: int) -> int | None:
        """Return ``storage.keep_log`` in log entries; ``None`` for all."""
        return int(self.storage.keep_log) * checkpoint_interval if self.is_log_cut else None

    @property
    def database_url(self) -> str:
        """``storage.database``, or SQLite beside the configuration."""
        return self.storage.database or f"sqlite:///{self.path('ledger.db')}"


def _build(name: str, section: Any, values: object) -> Any:  # noqa: ANN401
    if not isinstance(values, dict):
        raise ConfigError(f"[{name}] is a section, not a value")
    fields = {f.name: f for f in dataclasses.fields(section)}
    _refuse_unknown(f"key in [{name}]", values, fields)
    default = section()
    for key, value in values.items():
        _check_type(f"{name}.{key}", value, getattr(default, key), str(fields[key].type))
    return section(**values)


def _check_type(key: str, value: object, default: object, wanted: str) -> None:
    if type(value) is not type(default):
        raise ConfigError(f"{key} must be {_kind(default)}, not {_kind(value)}")
    items: list[object] = []
    if isinstance(value, list):
        items = value
    elif isinstance(value, dict):
        items = list(value.values())
        if "list[str]" in wanted:
            for item in items:
                _check_type(key, item, [], "list[str]")
            return
    if any(not isinstance(item, str) for item in items):
        raise ConfigError(f"{key} must hold strings only")


def _kind(value: object) -> str:
    names = {bool: "true or false", int: "a whole number", str: "a string", list: "a list"}
    return names.get(type(value), "a table" if isinstance(value, dict) else type(value).__name__)


def _check_peer(text: str) -> None:
    try:
        parse_peer_id(text)
    except UsageError as exc:
        raise ConfigError(f"network.addresses.{text}: {exc}", hint=exc.hint) from None


def _one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{key} = {value!r} is not one of {', '.join(allowed)}")


def _refuse_unknown(what: str, values: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"unknown {what}: {key!r}", hint=hint)
