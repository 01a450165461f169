"""``bftcluster cluster``: bring maintainers and peers together in a genesis."""

import os
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bftcluster.errors import ClusterError, UsageError
from bftcluster_cli import pin_options as options
from bftcluster_cli.descriptors import parse_descriptor
from bftcluster_cli.framework import noun, settings_of, verb
from bftcluster_cli.keys.key_files import check_name, read_public_file
from bftcluster_cli.output import emit, plural, say, warn
from bftcluster_cli.untrusted_text import label

if TYPE_CHECKING:
    from bftcluster.ledger.wire.genesis import Genesis, GenesisPeer
    from bftcluster.signing.policies import Maintainer

app = noun(
    "cluster",
    """Set up a cluster, change its members, and recover it.

\b
before it runs    init, show
while it runs     health, members; admit, remove, age-rules: by approval, as a pin
when it cannot    recover: more disks are lost than it can bear""",
)


@verb(
    app,
    "init",
    "bftcluster cluster init --name archive --threshold 2 \\",
    "    --maintainer alice.pub --maintainer bob.pub --maintainer carol=z6Mk… \\",
    "    --peer peer1/peer.txt --peer peer2/peer.txt --peer peer3/peer.txt \\",
    "    --peer 'peer4=12D3…@/ip4/192.0.2.4/tcp/9096;capacity=2TB;domain=attic'",
)
def init(
    ctx: typer.Context,
    *,
    name: Annotated[str, typer.Option(help="The cluster's name.")],
    threshold: Annotated[
        int, typer.Option(min=1, help="How many maintainers must approve an operation.")
    ],
    maintainer: Annotated[
        list[str],
        typer.Option(metavar="FILE.pub|NAME=z6Mk…", help="Who may approve; may be repeated."),
    ],
    peer: Annotated[
        list[str],
        typer.Option(
            metavar="FILE|NAME=12D3…@ADDRESS,…;capacity=SIZE",
            help="A peer that orders and stores, as the line of `peer init` about it says, with "
            "class, domain and operator; may be repeated, in the order of their turns.",
        ),
    ],
    output: Annotated[Path, typer.Option(metavar="FILE", help="Where the genesis goes.")] = Path(
        "genesis.cbor"
    ),
    replication_min: Annotated[
        int | None,
        typer.Option(
            "--replication-min",
            "--rmin",
            metavar="N",
            help="For pins that do not say: 2; -1 is every peer.",
        ),
    ] = None,
    replication_max: Annotated[
        int | None,
        typer.Option(
            "--replication-max", "--rmax", metavar="N", help="For pins that do not say: 3."
        ),
    ] = None,
    place: options.Place = None,
    checkpoint_interval: Annotated[
        int,
        typer.Option(
            metavar="BATCHES", min=8, max=256, help="Between checkpoints; voters change at one."
        ),
    ] = 128,
    period: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="For so long a peer's share of new pins stays the same: 10s to 7d."
        ),
    ] = "1h",
    audit_day: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="Each peer is audited about once in it: 10s to 1d, for trials."
        ),
    ] = "",
    day: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="What absences, standings and departures count in, and audits unless it is said: "
            "10s to 1d, for trials.",
        ),
    ] = "1d",
) -> None:
    """Write the genesis: the maintainers, how many must agree, and the peers. All peers need it."""
    from bftcluster.ledger.wire.genesis import Genesis
    from bftcluster.limits import (
        DIGEST_SIZE_BYTES,
        PIN_REPLICATION_MAX_DEFAULT,
        PIN_REPLICATION_MIN_DEFAULT,
    )
    from bftcluster.signing.policies import Policy
    from bftcluster_cli.files import write_new
    from bftcluster_cli.pin_options import duration_ms, replication
    from bftcluster_cli.proposals import now_ms

    least, most = replication(replication_min, replication_max)
    try:
        genesis = Genesis(
            name=check_name(name),
            created_ms=now_ms(),
            peers=tuple(parse_descriptor(each).founder() for each in peer),
            policy=Policy.of(*map(parse_maintainer_option, maintainer), threshold=threshold),
            replication_min=least or PIN_REPLICATION_MIN_DEFAULT,
            replication_max=most or PIN_REPLICATION_MAX_DEFAULT,
            checkpoint_interval=checkpoint_interval,
            period_ms=duration_ms(period),
            audit_day_ms=duration_ms(audit_day or day),
            day_ms=duration_ms(day),
            strategy=options.strategy_of(place or ()),
            nonce=os.urandom(DIGEST_SIZE_BYTES),
        )
    except ClusterError as exc:
        if isinstance(exc, UsageError):
            raise
        raise UsageError(str(exc), hint="see `bftcluster cluster init --help`") from None
    _advise(genesis)
    write_new(output, genesis.to_bytes())
    say(f"give {output} to every peer: bftcluster peer init DIR --genesis {output}")
    emit(
        settings_of(ctx),
        {"cluster_id": genesis.cluster_id.hex(), "file": str(output)},
        genesis.cluster_id.hex(),
    )


@verb(app, "show", "bftcluster cluster show genesis.cbor --json")
def show(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A genesis.")] = Path("genesis.cbor"),
) -> None:
    """Show what is in a genesis: who may approve, and which peers there are at first."""
    from bftcluster_cli.clusters import read_genesis

    genesis = read_genesis(file)
    emit(settings_of(ctx), _record(genesis), _text(genesis))


def parse_maintainer_option(text: str) -> "Maintainer":
    """Return the maintainer in a public key file, or in ``name=z6Mk…``.

    Raises:
        UsageError: It is neither.
    """
    from bftcluster.signing.keys import parse_maintainer
    from bftcluster.signing.policies import Maintainer

    name, separator, key = text.rpartition("=")
    if Path(text).is_file():
        if Path(text).suffix == ".key":
            raise UsageError(
                f"{text} is a secret key file", hint=f"pass {Path(text).with_suffix('.pub')}"
            )
        name, key = read_public_file(Path(text))
    elif not separator:
        raise UsageError(
            f"no file {text}, and not a maintainer", hint="pass alice.pub or alice=z6Mk…"
        )
    return Maintainer(name=check_name(name), key=parse_maintainer(key))


def _advise(genesis: "Genesis") -> None:
    """Say what is allowed and unwise."""
    policy, membership = genesis.policy, genesis.membership()
    n, t = len(policy.maintainers), policy.threshold
    if membership.n < 4:
        peers = plural(membership.n, "peer")
        warn(f"with {peers} no failure is tolerated: 4 tolerate 1, 7 tolerate 2")
    if t == 1 and n > 1:
        warn("with --threshold 1 any maintainer alone decides")
    if n - t < 2:
        lost = plural(n - t + 1, "lost key")
        warn(f"{t} of {n} maintainers: after {lost} nobody can decide any more")


def _record(genesis: "Genesis") -> dict[str, Any]:
    from bftcluster.ledger.wire.pin_strategy import strategy_words
    from bftcluster.signing.keys import maintainer_text, peer_id_text

    membership = genesis.membership()
    return {
        "cluster_id": genesis.cluster_id.hex(),
        "name": genesis.name,
        "created_ms": genesis.created_ms,
        "threshold": genesis.policy.threshold,
        "maintainers": [
            {"name": each.name, "key": maintainer_text(each.key)}
            for each in genesis.policy.maintainers
        ],
        "peers": [
            {"name": each.name, "id": peer_id_text(each.peer), "addresses": list(each.addresses)}
            | each.terms.to_json()
            for each in genesis.peers
        ],
        "quorum": membership.quorum,
        "faults_tolerated": membership.f,
        "replication_min": genesis.replication_min,
        "replication_max": genesis.replication_max,
        "checkpoint_interval": genesis.checkpoint_interval,
        "period_ms": genesis.period_ms,
        "audit_day_ms": genesis.audit_day_ms,
        "day_ms": genesis.day_ms,
        "place": [f"{word}={text}" for word, text in strategy_words(genesis.strategy)]
        if genesis.strategy
        else [],
        "bytes": b64encode(genesis.to_bytes()).decode(),
    }


def _founder_lines(founder: "GenesisPeer") -> list[str]:
    from bftcluster.signing.keys import peer_id_text
    from bftcluster_cli.display.terms import terms_text

    addresses = ",".join(label(address, columns=96) for address in founder.addresses)
    return [
        f"  {label(founder.name)}={peer_id_text(founder.peer)}@{addresses}",
        f"    {terms_text(founder.terms)}",
    ]


def _text(genesis: "Genesis") -> str:
    from bftcluster_cli.display.strategies import strategy_lines
    from bftcluster_cli.display.wording import time_text
    from bftcluster_cli.pin_options import duration_text

    record = _record(genesis)
    least, most = genesis.replication_min, genesis.replication_max
    copies = (
        "every peer" if least == -1 else f"{least} to {most} peers, as far as there are so many"
    )
    lines = [
        f"cluster      {label(genesis.name)}",
        f"id           {record['cluster_id']}",
        f"created      {time_text(genesis.created_ms)}",
        f"maintainers  {record['threshold']} of {len(record['maintainers'])} must approve",
        *(f"  {label(each['name'])}={each['key']}" for each in record["maintainers"]),
        f"peers        {len(record['peers'])}, {record['quorum']} must agree, "
        f"{record['faults_tolerated']} may be faulty",
        *(line for each in genesis.peers for line in _founder_lines(each)),
        f"copies       {copies}, unless a pin says otherwise",
        *(f"holders      {line}" for line in strategy_lines(genesis.strategy)),
        f"period       {duration_text(genesis.period_ms)}",
        f"audits       of each peer, about one in {duration_text(genesis.audit_day_ms)}",
        f"days         of {duration_text(genesis.day_ms)}",
    ]
    return "\n".join(lines)
