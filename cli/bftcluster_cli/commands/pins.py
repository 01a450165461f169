"""``bftcluster pin``: propose, approve and follow pins."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bftcluster.errors import RefusedError, UsageError
from bftcluster_cli import pin_options as options
from bftcluster_cli.client import Client, list_lines
from bftcluster_cli.framework import GlobalOptions, noun, settings_of, verb
from bftcluster_cli.output import emit, say, suggest
from bftcluster_cli.untrusted_text import label, message

if TYPE_CHECKING:
    from bftcluster.ledger.wire.operations import Operation
    from bftcluster_cli.clusters import Cluster
    from bftcluster_cli.proposals import Proposal

app = noun("pin", "Propose, approve and follow pins.")

CidArgument = Annotated[str, typer.Argument(metavar="CID", help="What to pin, bafy… or Qm….")]
Target = Annotated[
    str, typer.Argument(metavar="DIGEST|CID", help="A proposal, or the CID it is about.")
]


@verb(
    app,
    "add",
    "bftcluster pin add bafy… --name photos --key alice.key",
    "bftcluster pin add bafy… --rmin 2 --rmax 3 --expire-in 365d --wait",
)
def add(
    ctx: typer.Context,
    *,
    cid: CidArgument,
    name: options.Name = "",
    least: options.Least = None,
    most: options.Most = None,
    expire_in: options.ExpireIn = "",
    place: options.Place = None,
    metadata: options.Metadata = None,
    allocations: options.Allocations = "",
    direct: Annotated[
        bool, typer.Option("--direct", help="Keep this block alone, not what it links to.")
    ] = False,
    valid_for: options.ValidFor = "14d",
    wait: options.Wait = False,
    yes: options.Yes = False,
) -> None:
    """Propose a pin in your name. It happens once enough maintainers have approved."""
    from bftcluster_cli.proposals import now_ms

    choice = options.PinChoice(
        name=name,
        least=least,
        most=most,
        expire_in=expire_in,
        place=tuple(place or ()),
        metadata=tuple(metadata or ()),
        allocations=allocations,
        is_direct=direct,
    )
    settings = settings_of(ctx)
    operation = choice.operation(cid, now_ms=now_ms())
    with Client(settings) as client:
        record = propose_operation(client, settings, operation, valid_for=valid_for, yes=yes)
        report_outcome(client, settings, record, wait=wait)


@verb(app, "rm", "bftcluster pin rm bafy… --key alice.key")
def rm(
    ctx: typer.Context,
    cid: CidArgument,
    valid_for: options.ValidFor = "14d",
    yes: options.Yes = False,
) -> None:
    """Propose to unpin in your name."""
    from bftcluster.cid import parse
    from bftcluster.ledger.wire.operations import UnpinOperation

    settings = settings_of(ctx)
    with Client(settings) as client:
        operation = UnpinOperation(cid=parse(cid))
        record = propose_operation(client, settings, operation, valid_for=valid_for, yes=yes)
        report_outcome(client, settings, record, wait=False)


@verb(
    app,
    "approve",
    "bftcluster pin approve 3fb2c1d0 --key bob.key",
    "bftcluster pin approve bafy… --yes --wait",
)
def approve(
    ctx: typer.Context, target: Target, wait: options.Wait = False, yes: options.Yes = False
) -> None:
    """Show an open proposal in plain words, and sign it if you agree."""
    _vote(settings_of(ctx), target, approves=True, wait=wait, yes=yes)


@verb(app, "reject", "bftcluster pin reject 3fb2c1d0 --key carol.key")
def reject(ctx: typer.Context, target: Target, yes: options.Yes = False) -> None:
    """Show an open proposal in plain words, and say no to it. A no is final."""
    _vote(settings_of(ctx), target, approves=False, wait=False, yes=yes)


@verb(app, "pending", "bftcluster pin pending", "bftcluster pin pending --json")
def pending(ctx: typer.Context) -> None:
    """List the proposals that wait for approvals, oldest first."""
    list_lines(ctx, "/proposals", pending_line, "nothing waits for approvals")


@verb(app, "ls", "bftcluster pin ls", "bftcluster pin ls --json | jq .cid")
def ls(ctx: typer.Context) -> None:
    """List the pinset, one line for each pin: how many peers hold it, and who is behind."""
    from bftcluster_cli.display.pin_lines import progress_of, unreachable_peers

    settings = settings_of(ctx)
    count, has_failed = 0, False
    with Client(settings) as client:
        down = unreachable_peers(client)
        for status in client.lines("/pins"):
            progress = progress_of(status, down)
            emit(settings, progress.record, progress.line)
            count += 1
            has_failed = has_failed or progress.has_failed
    if not count:
        say("nothing is pinned")
    _advise(settings, has_failed=has_failed)


@verb(app, "status", "bftcluster pin status", "bftcluster pin status bafy… --wait")
def status(
    ctx: typer.Context,
    cid: Annotated[
        str | None, typer.Argument(metavar="[CID]", help="One pin; all of them if not given.")
    ] = None,
    wait: options.Wait = False,
) -> None:
    """Show how far a pin is: pending, committed, replicated, and on which peers."""
    if cid is not None:
        settings = settings_of(ctx)
        with Client(settings) as client:
            show_status(client, settings, cid, wait=wait)
    elif wait:
        raise UsageError("--wait needs a CID")
    else:
        ls(ctx)


_SHOWN: Final = ("digest", "kind", "cid", "state", "threshold", "expires_at")


def propose_operation(
    client: Client, settings: GlobalOptions, operation: "Operation", *, valid_for: str, yes: bool
) -> dict[str, Any]:
    """Sign an operation as the maintainer at the terminal, and put it on the log.

    Raises:
        ClusterError: Nobody consented, or the cluster refused.
    """
    from bftcluster_cli import proposals
    from bftcluster_cli.clusters import cluster_of
    from bftcluster_cli.display.wording import confirm, proposal_text, subject_text
    from bftcluster_cli.keys.key_files import open_maintainer_key

    cluster = cluster_of(client, settings)
    intent = proposals.new_intent(cluster, operation, lifetime_ms=options.duration_ms(valid_for))
    fresh = proposals.Proposal(
        intent=intent, operation=operation, approvers=(), rejecters=(), state="new"
    )
    if not yes:
        say(f"you are about to propose:\n\n{proposal_text(fresh, cluster)}\n")
        confirm(f"sign and propose {subject_text(operation)}?", yes=yes)
    _, key = open_maintainer_key(settings)
    proposals.check_maintainer(cluster, key)
    outcome = proposals.propose(client, cluster, key, intent)
    return voted_record(fresh, cluster, outcome, signed=1)


def report_outcome(
    client: Client, settings: GlobalOptions, record: dict[str, Any], *, wait: bool
) -> None:
    """Write what became of a signed request, and of the pin it is about.

    Raises:
        NotReachedError: ``wait``, and the pin is not replicated in time.
    """
    is_pinned = record["code"] == "committed" and record["kind"] == "pin"
    is_waited_for = wait and record["code"] in {"pending", "already"} and record["kind"] == "pin"
    if not is_pinned and not is_waited_for:
        emit(settings, record, _outcome_line(record))
        return
    if not settings.is_json:
        say(_outcome_line(record))
    show_status(client, settings, str(record["cid"]), wait=wait, extra=record)


def show_status(
    client: Client,
    settings: GlobalOptions,
    cid: str,
    *,
    wait: bool,
    extra: Mapping[str, object] | None = None,
) -> None:
    """Write how far one pin is.

    Raises:
        RefusedError: Nobody has pinned or proposed it.
        NotReachedError: ``wait``, and it is not replicated in time.
    """
    from bftcluster_cli.display.pin_lines import pin_progress, wait_until_replicated
    from bftcluster_cli.display.progress import replication_bar

    text = _canonical(cid)
    if wait:
        with replication_bar(settings) as advance:
            progress = wait_until_replicated(client, text, on_progress=advance)
    else:
        found = pin_progress(client, text)
        if found is None:
            _show_uncommitted(client, settings, text)
            return
        progress = found
    emit(settings, {**progress.record, **(extra or {})}, progress.line)
    if not settings.is_json and progress.others:
        say(f"  not allocated: {', '.join(each.name for each in progress.others)}")
    _advise(settings, has_failed=progress.has_failed)


def voted_record(
    proposal: "Proposal", cluster: "Cluster", outcome: Mapping[str, Any], *, signed: int
) -> dict[str, Any]:
    """Return what became of a signed request, for ``report_outcome``."""
    from bftcluster_cli.display.wording import subject_record

    return {
        "code": str(outcome["code"]),
        "detail": message(str(outcome.get("detail", ""))),
        "seq": outcome.get("seq", 0),
        "proposal": proposal.intent.digest.hex(),
        **subject_record(proposal.operation),
        "approvals": signed,
        "threshold": cluster.policy.threshold,
    }


def pending_line(record: Mapping[str, Any]) -> str:
    """Return a proposal in one line, by the peer's word."""
    approvals = record.get("approvals") or []
    names = ", ".join(label(str(each.get("name", "?"))) for each in approvals) or "nobody"
    name = f"  {label(str(record['name']))}" if record.get("name") else ""
    shown = {key: message(str(record.get(key) or "")) for key in _SHOWN}
    return (
        f"{shown['digest'][:12]}  {shown['kind']} {shown['cid']}{name}  {shown['state']}: "
        f"{len(approvals)} of {shown['threshold']} approved ({names})  "
        f"expires {shown['expires_at']}"
    )


def _advise(settings: GlobalOptions, *, has_failed: bool) -> None:
    """Say what can be done about peers that failed, to people."""
    from bftcluster_cli.display.pin_lines import ADVICE

    if has_failed and not settings.is_json:
        suggest(ADVICE)


def _show_uncommitted(client: Client, settings: GlobalOptions, cid: str) -> None:
    proposals = [record for record in client.lines("/proposals") if record.get("cid") == cid]
    for record in proposals:
        emit(settings, {**record, "committed": False}, pending_line(record))
    if not proposals:
        raise RefusedError(
            f"{cid} is not pinned", hint=f"propose it with `bftcluster pin add {cid}`"
        )


def _vote(settings: GlobalOptions, target: str, *, approves: bool, wait: bool, yes: bool) -> None:
    from bftcluster_cli import proposals
    from bftcluster_cli.clusters import cluster_of
    from bftcluster_cli.display.wording import confirm, proposal_text, subject_text
    from bftcluster_cli.keys.key_files import open_maintainer_key

    with Client(settings) as client:
        cluster = cluster_of(client, settings)
        found = proposals.find(client, cluster, target)
        if found.state != "pending":
            raise RefusedError(
                f"this proposal is {found.state} already", hint="see `bftcluster pin status`"
            )
        verb = "approve" if approves else "reject"
        say(f"you are about to {verb}:\n\n{proposal_text(found, cluster)}\n")
        confirm(f"sign and {verb} {subject_text(found.operation)}?", yes=yes)
        _, key = open_maintainer_key(settings)
        proposals.check_maintainer(cluster, key)
        outcome = proposals.vote(client, cluster, key, found, approves=approves)
        is_new = key.public_key not in found.approvers
        signed = len(found.approvers) + (1 if approves and is_new else 0)
        record = voted_record(found, cluster, outcome, signed=signed)
        report_outcome(client, settings, record, wait=wait)


def _outcome_line(record: Mapping[str, Any]) -> str:
    code, digest = str(record["code"]), str(record["proposal"])[:12]
    what = f"{record['kind']} {record['cid'] or label(str(record['name']), columns=64)}"
    match code:
        case "committed":
            detail = f": {record['detail']}" if record["detail"] else ""
            return f"{what}  committed at {record['seq']}{detail}"
        case "pending":
            counted = f"{record['approvals']} of {record['threshold']} approvals"
            return f"{what}  pending: {counted}; others run `bftcluster pin approve {digest}`"
        case _:
            detail = f": {record['detail']}" if record["detail"] else ""
            return f"{what}  {code.replace('-', ' ')}{detail}  ({digest})"


def _canonical(cid: str) -> str:
    from bftcluster import cid as cids

    return cids.text(cids.parse(cid))
