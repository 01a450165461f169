"""``bftcluster cluster members|admit|remove``: who belongs to a running cluster, and who votes."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bftcluster.errors import ClusterError, UsageError
from bftcluster_cli import pin_options as options
from bftcluster_cli.client import Client, Record
from bftcluster_cli.descriptors import CLASSES, check_place, parse_descriptor
from bftcluster_cli.display.standings import cell, percent, standing_note
from bftcluster_cli.display.terms import place_text
from bftcluster_cli.framework import settings_of, verb
from bftcluster_cli.output import emit, say, size_text
from bftcluster_cli.untrusted_text import label, message

if TYPE_CHECKING:
    from bftcluster.ids import PeerId
    from bftcluster.ledger.wire.operations import Operation
    from bftcluster.ledger.wire.pin_strategy import AgeRule


HEADINGS: Final = (
    "NAME", "VOTES", "CONNECTED", "STANDING", "SCORE", "AGE", "USED", "SHARE", "CLASS", "DOMAIN",
    "OPERATOR", "SEEN", "PEER", "",
)  # fmt: skip


def register(app: typer.Typer, peers: typer.Typer) -> None:
    """Add the commands to the noun ``cluster``, and the list to ``peer`` as well."""
    verb(app, "members", "bftcluster cluster members", "bftcluster cluster members --json")(members)
    verb(peers, "ls", "bftcluster peer ls", "bftcluster peer ls --json")(members)
    verb(
        app,
        "admit",
        "bftcluster cluster admit peer5/peer.txt --key alice.key",
        "bftcluster cluster admit volunteer/peer.txt --no-vote --capacity 500GB \\",
        "    --domain berlin --operator 'Jane Doe'",
        "bftcluster cluster admit volunteer/peer.txt --light",
    )(admit)
    verb(
        app,
        "age-rules",
        "bftcluster cluster age-rules --rule 0d=3-4 --rule 30d=2-3 --rule 99d=1-2 --key alice.key",
        "bftcluster cluster age-rules --key alice.key",
    )(age_rules)
    verb(app, "remove", "bftcluster cluster remove peer2 --key alice.key")(remove)


def members(ctx: typer.Context) -> None:
    """List the peers: who votes, how far each is trusted, what it has used of what was approved.

    SHARE is its part of all weights, by which new pins are given.
    """
    settings = settings_of(ctx)
    with Client(settings) as client:
        epoch = client.get("/status").get("epoch")
        records = client.list("/members")
    if settings.is_json:
        for record in records:
            emit(settings, record, "")
        return
    votes = sum(bool(record.get("votes")) for record in records)
    say(f"epoch {message(str(epoch))}: {votes} replicas vote")
    rows = [HEADINGS, *map(member_row, records)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS) - 1)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, (*widths, 0), strict=True))
        emit(settings, {}, "  ".join(cells).rstrip())


def admit(
    ctx: typer.Context,
    descriptor: Annotated[
        str,
        typer.Argument(metavar=options.PEER, help="The peer.txt of `bftcluster peer init`."),
    ],
    *,
    no_vote: Annotated[
        bool, typer.Option("--no-vote", help="It stores and follows, but orders nothing.")
    ] = False,
    light: Annotated[
        bool, typer.Option("--light", help="It dials relays, and keeps no ledger: `light run`.")
    ] = False,
    capacity: Annotated[
        str, typer.Option(metavar="SIZE", help="At most so much counts; as it asks by default.")
    ] = "",
    quota_class: Annotated[
        str,
        typer.Option(
            "--class",
            metavar="|".join(CLASSES),
            help="Whose disk it is: own by default; volunteer with --no-vote.",
        ),
    ] = "",
    domain: Annotated[
        str, typer.Option(help="What it may fail together with; as it says by default.")
    ] = "",
    operator: Annotated[str, typer.Option(help="Who looks after it; as it says by default.")] = "",
    valid_for: options.ValidFor = "14d",
    yes: options.Yes = False,
) -> None:
    """Propose to let a peer in, or to change its terms, or whether it votes.

    It happens by approval, as a pin. What is approved counts, and not what the peer says of itself.
    """
    peer = parse_descriptor(descriptor).with_choice(
        capacity=capacity,
        quota_class=quota_class,
        domain=check_place(domain, "a domain"),
        operator=check_place(operator, "an operator"),
        light=light,
    )
    votes = not (no_vote or light)
    propose(ctx, peer.admission(votes=votes), valid_for=valid_for, yes=yes)


def remove(
    ctx: typer.Context,
    peer: Annotated[str, typer.Argument(metavar="NAME|12D3…", help="A peer of the cluster.")],
    *,
    valid_for: options.ValidFor = "14d",
    yes: options.Yes = False,
) -> None:
    """Propose that a peer no longer belongs to the cluster. What it held goes to others."""
    from bftcluster.ledger.wire.member_operations import RemovePeer

    with Client(settings_of(ctx)) as client:
        found = find_peer(client.list("/members"), peer)
    propose(ctx, RemovePeer(peer=found), valid_for=valid_for, yes=yes)


def age_rules(
    ctx: typer.Context,
    *,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AGE=MIN-MAX",
            help="From this age on so many copies; none: as the genesis says.",
        ),
    ] = None,
    valid_for: options.ValidFor = "14d",
    yes: options.Yes = False,
) -> None:
    """Propose how many copies pins have that do not say it themselves, by their age.

    It happens by approval, as a pin. Old content may have fewer copies, fresh content more.
    """
    from bftcluster.ledger.wire.pin_strategy import SetAgeRules

    rules = tuple(sorted(map(options.age_rule, rule or ()), key=_age))
    try:
        operation = SetAgeRules(rules=rules)
    except ClusterError as exc:
        raise UsageError(str(exc), hint="as in --rule 0d=3-4 --rule 30d=2-3") from None
    propose(ctx, operation, valid_for=valid_for, yes=yes)


def _age(rule: "AgeRule") -> int:
    return rule.older_than_ms


def propose(ctx: typer.Context, operation: "Operation", *, valid_for: str, yes: bool) -> None:
    """Sign an operation on peers, put it on the log, and write what became of it."""
    from bftcluster_cli.commands.pins import propose_operation, report_outcome

    settings = settings_of(ctx)
    with Client(settings) as client:
        record = propose_operation(client, settings, operation, valid_for=valid_for, yes=yes)
        report_outcome(client, settings, record, wait=False)


def find_peer(records: list[Record], text: str) -> "PeerId":
    """Return the one peer that a name or an id means.

    Raises:
        UsageError: It means none, or several.
    """
    from bftcluster.signing.keys import parse_peer_id

    if text.startswith("12D3"):
        return parse_peer_id(text)
    matches = [str(record.get("id", "")) for record in records if record.get("name") == text]
    if len(matches) != 1:
        raise UsageError(
            f"{len(matches)} peers are called {text!r}",
            hint="`bftcluster cluster members` lists their ids",
        )
    return parse_peer_id(matches[0])


def member_row(record: dict[str, Any]) -> tuple[str, ...]:
    """Return a peer as a row of ``cluster members``."""
    notes = [message(str(record["under_way"]))] if record.get("under_way") else []
    if not record.get("joined"):
        notes.append("has not joined yet" if record.get("connected") else "never seen")
    if record.get("absent"):
        notes.append("ABSENT: not heard for a day, so what it holds does not count")
    if record.get("evidence"):
        notes.append(f"CONTRADICTED ITSELF (evidence {message(str(record['evidence'])[:16])})")
    elif record.get("barred"):
        notes.append("lost its views: not primary for now")
    notes += [standing_note(record)] if standing_note(record) else []
    since = f"since epoch {message(str(record.get('since_epoch')))}"
    votes = since if record.get("votes") else "no"
    connected = "yes" if record.get("connected") else "no"
    name, peer = label(str(record.get("name"))), label(str(record.get("id")), columns=64)
    seen = cell(record, "last_seen") if record.get("joined") else "-"
    return name, votes, connected, *_trust(record), *_room(record), seen, peer, "; ".join(notes)


def _trust(record: dict[str, Any]) -> tuple[str, str, str]:
    """Return how far a peer is trusted: three columns."""
    return cell(record, "standing"), percent(record.get("score")), f"{cell(record, 'age_days')} d"


def _room(record: dict[str, Any]) -> tuple[str, str, str, str, str]:
    """Return what is used of what was approved, its share, whose it is, where: five columns."""
    used, capacity = (int(record.get(key) or 0) for key in ("used_bytes", "capacity_bytes"))
    room = f"{size_text(used)} of {size_text(capacity)}" if record.get("joined") else "-"
    domain, operator = place_text(record.get("domain")), place_text(record.get("operator"))
    share, quota_class = percent(record.get("share")), label(str(record.get("quota_class") or "-"))
    return room, share, quota_class, domain, operator
