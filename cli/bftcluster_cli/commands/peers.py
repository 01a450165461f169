"""``bftcluster peer``: make a peer, run it, and see how it is doing."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bftcluster.errors import ConfigError, UsageError
from bftcluster_cli import pin_options as options
from bftcluster_cli.client import Client, Record
from bftcluster_cli.descriptors import (
    check_place,
    descriptor_text,
    parse_descriptor,
    parse_size,
)
from bftcluster_cli.framework import noun, settings_of, verb
from bftcluster_cli.keys.key_files import check_name
from bftcluster_cli.output import emit, say, size_text, warn
from bftcluster_cli.untrusted_text import label, message

if TYPE_CHECKING:
    from bftcluster.ledger.wire.genesis import Genesis

app = noun("peer", "Make a peer, run it, see how it is doing, and recover it.")

LISTEN_DEFAULT: Final = "/ip4/0.0.0.0/tcp/9096"
API_LISTEN_DEFAULT: Final = "127.0.0.1:9094"
QUOTA_DEFAULT: Final = "100GB"
CONFIG_FILE: Final = "config.toml"
IDENTITY_FILE: Final = "identity.key"
GENESIS_FILE: Final = "genesis.cbor"
DESCRIPTOR_FILE: Final = "peer.txt"

_NEVER: Final = "0001-01-01T00:00:00Z"
"""How the API says so, as ipfs-cluster does: Go's zero time."""

_DAY_MS: Final = 86_400_000
_DAYS_SHOWN_MAX: Final = 365

_IS_ANYWHERE: Final = re.compile(r"/ip4/0\.0\.0\.0/|/ip6/::/")
"""An address that means every address of this machine, and to others nothing."""

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The peer's directory.")]


@verb(
    app,
    "init",
    "bftcluster peer init ./peer1 --name peer1 --quota 500GB",
    "bftcluster peer init ./peer1 --listen /ip4/192.0.2.1/tcp/9096 --domain cellar",
    "bftcluster peer init ./peer1 --genesis genesis.cbor",
    "bftcluster peer init ./peer5 --genesis genesis.cbor --bootstrap peer1/peer.txt",
)
def init(
    ctx: typer.Context,
    *,
    directory: Directory,
    name: Annotated[str, typer.Option(help="The directory's name by default.")] = "",
    listen: Annotated[
        str, typer.Option(metavar="MULTIADDR", help="Where other peers reach this one.")
    ] = LISTEN_DEFAULT,
    api: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where its HTTP API listens. It has no login.")
    ] = API_LISTEN_DEFAULT,
    quota: Annotated[
        str, typer.Option(metavar="SIZE", help="Disk it may use, never more: 500GB, 2TB, 100MiB.")
    ] = QUOTA_DEFAULT,
    domain: Annotated[
        str, typer.Option(help="What it may fail together with: a room, a town, a provider.")
    ] = "",
    operator: Annotated[str, typer.Option(help="Who looks after it.")] = "",
    relay: Annotated[
        bool, typer.Option("--relay", help="Light peers may dial it, and it serves them.")
    ] = False,
    genesis: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The cluster's genesis, now or later.")
    ] = None,
    bootstrap: Annotated[
        list[str] | None,
        options.peers("A member to follow until this peer, not in the genesis, is admitted"),
    ] = None,
) -> None:
    """Make a peer in DIR: its identity, its config, and a line about it for `cluster init`.

    The line says what the peer asks for: quota, domain, operator. Whoever lets it in may say
    otherwise, and that counts.

    Run it again with --genesis once there is one. Nothing that is there is ever overwritten.
    """
    from bftcluster.node.process.identity import create_identity
    from bftcluster_cli.clusters import read_genesis
    from bftcluster_cli.files import make_private_directory, write_new

    peer_name = check_name(name or directory.resolve().name)
    parse_quota(quota)
    check_place(domain, "a domain")
    check_place(operator, "an operator")
    _check_multiaddr(listen)
    _check_host_port(api)
    members = _addresses_of(bootstrap or [])
    network: dict[str, object] = {"listen": [listen]}
    network |= {"relay": True} if relay else {}
    network |= {"addresses": members} if members else {}
    config = _config_text(name=peer_name, network=network, api=api, quota=quota)
    founding = None if genesis is None else read_genesis(genesis)
    make_private_directory(directory)
    identity = directory / IDENTITY_FILE
    if not identity.exists():
        create_identity(identity)
        say(f"made the identity {identity}: keep it secret, and never run two peers with it")
    if members and (directory / CONFIG_FILE).exists():
        raise UsageError(
            f"{directory / CONFIG_FILE} is there already",
            hint="add the members to network.addresses in it, and leave --bootstrap out",
        )
    if not (directory / CONFIG_FILE).exists():
        write_new(directory / CONFIG_FILE, config.encode())
    descriptor_path = directory / DESCRIPTOR_FILE
    if not descriptor_path.exists():
        key = _peer_key(identity)
        line = descriptor_text(
            f"{peer_name}={key}@{listen}", capacity=quota, domain=domain, operator=operator
        )
        write_new(descriptor_path, f"{line}\n".encode())
        if _IS_ANYWHERE.match(listen):
            warn(
                f"others cannot reach {listen}: name an address of this machine with --listen, "
                f"or put one into {descriptor_path} before it is passed on"
            )
    if founding is not None:
        _install_genesis(directory, founding, is_later=bool(members))
    _finish(ctx, directory)


@verb(app, "run", "bftcluster peer run ./peer1")
def run(directory: Directory) -> None:
    """Run the peer in DIR until it is told to stop (Ctrl-C or SIGTERM)."""
    if not (directory / CONFIG_FILE).is_file():
        raise ConfigError(
            f"there is no peer in {directory}", hint=f"bftcluster peer init {directory}"
        )
    if not (directory / GENESIS_FILE).is_file():
        raise ConfigError(
            f"the peer in {directory} does not know its cluster yet",
            hint=f"bftcluster peer init {directory} --genesis genesis.cbor",
        )
    from bftcluster.node.daemon import run_peer

    run_peer(directory)


@verb(app, "status", "bftcluster peer status", "bftcluster peer status --json")
def status(ctx: typer.Context) -> None:
    """Show how a peer is doing: its place in the order, its links, its disk and its work."""
    settings = settings_of(ctx)
    with Client(settings) as client:
        record = client.get("/status")
    emit(settings, record, status_text(record))


def status_text(record: Record) -> str:
    """Return ``/status`` for people."""
    storage: dict[str, Any] = record.get("storage") or {}
    links: list[Record] = record.get("links") or []
    connected = sum(bool(link.get("connected")) for link in links)
    tracker = record.get("tracker") or {}
    work = ", ".join(
        f"{message(str(count))} {message(word)}" for word, count in tracker.items() if count
    )
    lines = [
        f"peer       {label(str(record.get('peername')))} ({_words(record, 'peer')}), "
        f"{_words(record, 'role')}",
        f"health     {_words(record, 'problem') or 'good'}",
        *([f"silent     {_words(record, 'silence')}"] if record.get("silence") else []),
        f"order      executed {_words(record, 'last_executed')}, "
        f"stable {_words(record, 'last_stable')}, epoch {_words(record, 'epoch')}, "
        f"view {_words(record, 'view')}, primary {_name_of(record, str(record.get('primary')))}",
        f"pinset     {_words(record, 'pins')} pins, {_words(record, 'proposals')} open proposals",
        f"disk       {size_text(int(storage.get('used_bytes', 0)))} of "
        f"{size_text(int(storage.get('quota_bytes', 0)))}, {_words(storage, 'blocks')} blocks"
        f"{_damage_text(storage)}",
        f"log        {_log_text(storage)}",
        f"work       {work or 'none'}",
        f"beacon     {_beacon_text(record.get('beacon') or {})}",
        f"links      {connected} of {len(links)} connected",
        *(f"  {_link_text(link)}" for link in links),
    ]
    return "\n".join(lines)


def _beacon_text(beacon: Record) -> str:
    """Return which period has the last beacon, and who makes them."""
    period, holders = beacon.get("period"), int(beacon.get("holders", 0))
    made = "none yet" if period is None else f"of period {_words(beacon, 'period')}"
    key = f"{_words(beacon, 'threshold')} of {holders} holders make it" if holders else "no key"
    ceremony = _words(beacon, "ceremony") if beacon.get("ceremony") else ""
    return ", ".join([made, key, *([ceremony] if ceremony else [])])


def _log_text(storage: Record) -> str:
    """Return what the log takes, and when it will have used up its budget."""
    size, budget = int(storage.get("log_bytes", 0)), int(storage.get("log_budget_bytes", 0))
    text = f"{size_text(size)} of {size_text(budget)}"
    left_ms = storage.get("log_full_in_ms")
    if size >= budget:
        return f"{text}: FULL, this peer takes no requests from clients"
    if left_ms is None:
        return text
    days = int(left_ms) // _DAY_MS
    return f"{text}, full in {days} days" if days < _DAYS_SHOWN_MAX else text


def parse_quota(text: str) -> int:
    """Return the bytes of ``500GB``, ``1.5 TB`` or ``100MiB``.

    Raises:
        UsageError: Not a size, or none.
    """
    size = parse_size(text)
    if not size:
        raise UsageError("a quota must be more than nothing", hint="as in --quota 100GB")
    return size


def _damage_text(storage: Record) -> str:
    """Return what the disk has lost, if it has lost anything."""
    damaged, healed = storage.get("damaged_blocks"), storage.get("damaged_healed")
    texts = [f", {damaged} DAMAGED" if damaged else "", f", {healed} healed" if healed else ""]
    return message("".join(texts))


def _link_text(link: Record) -> str:
    name = label(str(link.get("peername") or link.get("peer")), columns=64)
    if not link.get("connected"):
        seen = _words(link, "last_seen")
        return f"{name}  DOWN, {'never seen' if seen == _NEVER else f'last seen {seen}'}"
    dropped = link.get("dropped_frames")
    lost = f", {message(str(dropped))} frames dropped" if dropped else ""
    return f"{name}  {_words(link, 'rtt_ms')} ms, {_words(link, 'queued_frames')} queued{lost}"


def _words(record: Record, key: str) -> str:
    value = record.get(key)
    return "" if value is None else message(str(value))


def _name_of(record: Record, peer: str) -> str:
    if peer == record.get("peer"):
        return "this peer"
    for link in record.get("links") or []:
        if link.get("peer") == peer:
            return label(str(link.get("peername") or peer), columns=64)
    return label(peer, columns=64)


def _addresses_of(descriptors: list[str]) -> dict[str, list[str]]:
    """Return where the peers in these descriptors are, by id."""
    from bftcluster.signing.keys import peer_id_text

    peers = map(parse_descriptor, descriptors)
    return {peer_id_text(peer.peer): list(peer.addresses) for peer in peers}


def _config_text(*, name: str, network: dict[str, object], api: str, quota: str) -> str:
    from bftcluster.node.process.config_text import default_text

    return default_text(
        peer={"name": name},
        network=network,
        api={"listen": [api]},
        storage={"quota": quota},
    )


def _peer_key(identity: Path) -> str:
    from bftcluster.ids import PeerId
    from bftcluster.node.process.identity import load_identity
    from bftcluster.signing.keys import peer_id_text

    return peer_id_text(PeerId(load_identity(identity).public_key))


def _install_genesis(directory: Path, genesis: "Genesis", *, is_later: bool) -> None:
    from bftcluster_cli.clusters import read_genesis
    from bftcluster_cli.files import write_new

    target = directory / GENESIS_FILE
    if target.exists():
        if read_genesis(target) != genesis:
            raise ConfigError(
                f"{directory} belongs to another cluster already",
                hint="make another peer with `bftcluster peer init OTHER_DIR`",
            )
        return
    from bftcluster.signing.keys import peer_id_text

    key = _peer_key(directory / IDENTITY_FILE)
    if not is_later and key not in {peer_id_text(peer.peer) for peer in genesis.peers}:
        raise ConfigError(
            f"the genesis of {genesis.name} does not have the peer {key}",
            hint=f"pass --peer {directory / DESCRIPTOR_FILE} to `bftcluster cluster init`; "
            "to join a cluster that runs, name a member with --bootstrap",
        )
    write_new(target, genesis.to_bytes())


def _finish(ctx: typer.Context, directory: Path) -> None:
    descriptor = (directory / DESCRIPTOR_FILE).read_text().strip()
    has_genesis = (directory / GENESIS_FILE).exists()
    if has_genesis:
        say(f"start it: bftcluster peer run {directory}")
        if not _is_founder(directory):
            say(_how_to_get_in(directory / DESCRIPTOR_FILE))
    else:
        say(f"next: bftcluster cluster init … --peer {directory / DESCRIPTOR_FILE}")
    record = {
        "peer": _peer_key(directory / IDENTITY_FILE),
        "directory": str(directory),
        "descriptor": descriptor,
        "has_genesis": has_genesis,
    }
    emit(settings_of(ctx), record, descriptor)


def _how_to_get_in(descriptor: Path) -> str:
    return (
        f"let it in: bftcluster cluster admit {descriptor}\n"
        "or, if the cluster lost too many disks to order anything, name it in the recovery before "
        f"it starts: bftcluster cluster recover … --peer {descriptor}"
    )


def _is_founder(directory: Path) -> bool:
    from bftcluster.signing.keys import peer_id_text
    from bftcluster_cli.clusters import read_genesis

    founders = read_genesis(directory / GENESIS_FILE).peers
    return _peer_key(directory / IDENTITY_FILE) in {peer_id_text(each.peer) for each in founders}


def _check_multiaddr(text: str) -> None:
    if not re.fullmatch(r"(/(ip4|ip6|dns|dns4|dns6)/[^/\s,@=]+/tcp/[0-9]{1,5})", text):
        raise UsageError(
            f"not an address peers can reach: {text!r}", hint="as in /ip4/192.0.2.1/tcp/9096"
        )


def _check_host_port(text: str) -> None:
    if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\s/\[\]]+):[0-9]{1,5}", text):
        raise UsageError(f"not HOST:PORT: {text!r}", hint="as in 127.0.0.1:9094")
