"""``bftcluster invite``: let others come by a word that is sent to them."""

import os
import sys
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bftcluster.errors import NotReachedError, RefusedError, UsageError
from bftcluster_cli import pin_options as options
from bftcluster_cli.client import Client, Record
from bftcluster_cli.clusters import cluster_of
from bftcluster_cli.descriptors import CLASSES, check_place, parse_descriptor, parse_size
from bftcluster_cli.display.qr_code import qr_text
from bftcluster_cli.display.terms import place_text
from bftcluster_cli.framework import GlobalOptions, noun, settings_of, verb
from bftcluster_cli.output import emit, emit_all, plural, say, size_text
from bftcluster_cli.untrusted_text import label, message

if TYPE_CHECKING:
    from bftcluster.ids import InviteKey, PeerId
    from bftcluster.ledger.wire.invitation_operations import Invite
    from bftcluster.ledger.wire.invitation_text import Invitation

app = noun("invite", "Invite others to lend room, and see who came.")

_RELAYS: Final = 3
_PAUSE_S: Final = 1.0
"""Between two looks at whether the others have approved."""


@verb(
    app,
    "new",
    "bftcluster invite new --capacity 500GB --domain 'a town' --operator carol",
    "bftcluster invite new --capacity 1TB --uses 20 --expires 30d --open --light",
)
def new(
    ctx: typer.Context,
    *,
    capacity: Annotated[
        str, typer.Option(metavar="SIZE", help="At most so much of each peer counts.")
    ],
    uses: Annotated[int, typer.Option(min=1, help="How many peers it lets in.")] = 1,
    expires: Annotated[
        str, typer.Option(metavar="TIME", help="How long it can be used, for example 7d.")
    ] = "14d",
    quota_class: Annotated[
        str, typer.Option("--class", metavar="|".join(CLASSES), help="Whose disk it will be.")
    ] = "volunteer",
    domain: Annotated[str, typer.Option(help="What all of them may fail together with.")] = "",
    operator: Annotated[str, typer.Option(help="Who looks after all of them.")] = "",
    is_open: Annotated[
        bool,
        typer.Option(
            "--open", help="Each says itself where it is and whose, where you do not say it."
        ),
    ] = False,
    relay: Annotated[
        list[str] | None,
        options.peers("A peer that newcomers ask first; three that vote by default"),
    ] = None,
    light: Annotated[
        bool,
        typer.Option(
            "--light",
            help="Each keeps no ledger and needs no inbound port: it dials relays. They never "
            "vote.",
        ),
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait until enough maintainers have approved it.")
    ] = False,
    valid_for: options.ValidFor = "14d",
    yes: options.Yes = False,
) -> None:
    """Propose an invitation, and print the word to send.

    It lets nobody in before enough maintainers have approved it. Whoever has the word can use it:
    send it as you would a password.
    """
    from bftcluster.ids import InviteKey
    from bftcluster.ledger.wire.invitation_operations import Invite
    from bftcluster.ledger.wire.invitation_text import Invitation
    from bftcluster.ledger.wire.peer_terms import PeerTerms, QuotaClass
    from bftcluster.signing.keys import SEED_SIZE_BYTES, SigningKey
    from bftcluster_cli.commands.pins import propose_operation
    from bftcluster_cli.proposals import now_ms

    if quota_class not in CLASSES:
        raise UsageError(f"not a class: {quota_class!r}", hint=f"one of {', '.join(CLASSES)}")
    settings = settings_of(ctx)
    key = SigningKey(os.urandom(SEED_SIZE_BYTES))
    operation = Invite(
        key=InviteKey(key.public_key),
        uses=uses,
        expires_ms=now_ms() + options.duration_ms(expires),
        terms=PeerTerms(
            capacity_bytes=parse_size(capacity),
            quota_class=QuotaClass[quota_class.upper()],
            domain=check_place(domain, "a domain"),
            operator=check_place(operator, "an operator"),
            is_light=light,
        ),
        is_place_open=is_open,
    )
    with Client(settings) as client:
        cluster = cluster_of(client, settings)
        invitation = Invitation(
            cluster_id=cluster.genesis.cluster_id,
            name=cluster.genesis.name,
            expires_ms=operation.expires_ms,
            seed=key.seed,
            relays=_relays(client, relay or [], are_light=light),
            is_light=light,
        )
        record = propose_operation(client, settings, operation, valid_for=valid_for, yes=yes)
        is_to_wait = wait and record["code"] == "pending"
        if is_to_wait:
            say(f"the word, which is good once it is approved: {invitation.to_text()}")
            _wait_until_open(client, settings, operation)
            record["code"] = "committed"
    _show(settings, operation, invitation, record)


def _show(
    settings: GlobalOptions, operation: "Invite", invitation: "Invitation", record: Record
) -> None:
    """Write the word to stdout, and what to do with it to stderr."""
    word = invitation.to_text()
    if not settings.is_json and sys.stderr.isatty():
        typer.echo(qr_text(word), err=True)
    emit(settings, {**record, "invitation": word, "key": operation.key.hex()}, word)
    if record["code"] != "committed":
        say(f"it lets nobody in yet: {message(str(record['detail']))}")
    say(f"send it; whoever gets it runs: bftcluster lend {word[:12]}… --quota SIZE")


def _relays(
    client: Client, descriptors: list[str], *, are_light: bool
) -> tuple[tuple["PeerId", tuple[str, ...]], ...]:
    """Return the peers that newcomers ask: those named, or some that are connected.

    They are peers that vote, and for light newcomers, which are to stay with them, relays.
    """
    from bftcluster.node.relay.relay_blocks import RELAY_TAG
    from bftcluster.signing.keys import parse_peer_id

    if descriptors:
        named = map(parse_descriptor, descriptors)
        return tuple([(each.peer, each.addresses) for each in named])
    members = client.list("/members")
    tag, is_set = RELAY_TAG
    able = [
        each
        for each in members
        if each.get("addresses")
        and (dict(each.get("tags") or {}).get(tag) == is_set if are_light else each.get("votes"))
    ]
    able.sort(key=lambda each: not each.get("connected"))
    if not able and are_light:
        raise RefusedError(
            "no peer is a relay, and light peers need one",
            hint="make one: `network.relay = true` in its config, or `bftcluster peer init "
            "--relay`; two are better",
        )
    if not able:
        raise RefusedError(
            "no peer that votes says where it can be reached", hint="name one with --relay"
        )
    return tuple(
        [
            (parse_peer_id(str(each["id"])), tuple(map(str, each["addresses"])))
            for each in able[:_RELAYS]
        ]
    )


def _wait_until_open(client: Client, settings: GlobalOptions, operation: "Invite") -> None:
    say("waiting until enough maintainers have approved it")
    end_s = time.monotonic() + settings.timeout_s
    while operation.key.hex() not in {str(each.get("key")) for each in client.list("/invites")}:
        if time.monotonic() > end_s:
            raise NotReachedError(
                "not enough maintainers have approved the invitation yet",
                hint="propose it without --wait, and send the word when it is approved",
            )
        time.sleep(_PAUSE_S)  # a person's command: people approve in minutes, and may stop it


@verb(app, "ls", "bftcluster invite ls", "bftcluster invite ls --json")
def ls(ctx: typer.Context) -> None:
    """List the invitations that have not expired, and who came by them."""
    settings = settings_of(ctx)
    with Client(settings) as client:
        records = client.list("/invites")
        names = {str(each.get("id")): str(each.get("name")) for each in client.list("/members")}
    emit_all(settings, records, lambda each: invite_line(each, names), "there is no invitation")


def invite_line(record: Record, names: dict[str, str]) -> str:
    """Return an invitation in one line, by the peer's word."""
    left = "revoked" if record.get("revoked") else f"{int(record.get('uses_left', 0))} uses left"
    peers = map(str, record.get("came") or [])
    came = [
        label(names[peer]) if peer in names else f"{label(peer, columns=64)} (left)"
        for peer in peers
    ]
    return "  ".join(
        [
            message(str(record.get("name"))),
            f"{left} of {int(record.get('uses', 0))}",
            f"until {message(str(record.get('expires')))}",
            f"{size_text(int(record.get('capacity_bytes', 0)))} each",
            message(str(record.get("quota_class"))),
            place_text(record.get("domain")),
            f"came: {', '.join(came)}" if came else "nobody came",
        ]
    )


@verb(app, "revoke", "bftcluster invite revoke 3f2a9c0d11223344")
def revoke(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `bftcluster invite ls` shows.")],
    *,
    valid_for: options.ValidFor = "14d",
    yes: options.Yes = False,
) -> None:
    """Propose that an invitation lets nobody in any more. Who came by it stays."""
    from bftcluster.ledger.wire.invitation_operations import RevokeInvite
    from bftcluster_cli.commands.members import propose

    with Client(settings_of(ctx)) as client:
        key = _find(client.list("/invites"), name)
    propose(ctx, RevokeInvite(key=key), valid_for=valid_for, yes=yes)


def _find(records: list[Record], name: str) -> "InviteKey":
    from bftcluster.ids import InviteKey

    keys = [str(each.get("key")) for each in records if str(each.get("key")).startswith(name)]
    if len(keys) != 1 or not name:
        raise UsageError(
            f"{plural(len(keys), 'invitation begins', 'invitations begin')} with {name!r}",
            hint="`bftcluster invite ls` shows them",
        )
    return InviteKey(bytes.fromhex(keys[0]))
