"""``bftcluster pin propose|sign|show|merge|submit``: approvals by file, without a network.

The file may pass through anybody's hands: each signature in it is checked against the genesis
before it counts, and nothing but the intent's bytes is ever signed.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bftcluster.errors import ClusterError, RefusedError, UsageError
from bftcluster_cli import pin_options as options
from bftcluster_cli.client import Client
from bftcluster_cli.commands.pins import report_outcome, voted_record
from bftcluster_cli.files import read_as, replace_file, write_new
from bftcluster_cli.framework import GlobalOptions, settings_of, verb
from bftcluster_cli.output import emit, say
from bftcluster_cli.untrusted_text import label

if TYPE_CHECKING:
    from bftcluster.ledger.wire.operations import Operation
    from bftcluster.signing.approvals import Approval
    from bftcluster.signing.proposal_file import ProposalFile
    from bftcluster_cli.clusters import Cluster
    from bftcluster_cli.proposals import Proposal

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A proposal file.")]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where it goes.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the noun ``pin``."""
    verb(
        app,
        "propose",
        "bftcluster pin propose bafy… --name photos --output photos.proposal \\",
        "    --genesis genesis.cbor --key alice.key",
        "bftcluster pin propose bafy… --unpin --output away.proposal --genesis genesis.cbor",
    )(propose)
    verb(app, "sign", "bftcluster pin sign photos.proposal --genesis genesis.cbor --key bob.key")(
        sign
    )
    verb(app, "show", "bftcluster pin show photos.proposal --genesis genesis.cbor --json")(show)
    verb(
        app, "merge", "bftcluster pin merge from-bob.proposal from-carol.proposal -o all.proposal"
    )(merge)
    verb(app, "submit", "bftcluster pin submit all.proposal --wait")(submit)


def propose(
    ctx: typer.Context,
    cid: Annotated[str, typer.Argument(metavar="CID", help="What to pin.")],
    *,
    output: Output,
    name: options.Name = "",
    least: options.Least = None,
    most: options.Most = None,
    expire_in: options.ExpireIn = "",
    place: options.Place = None,
    metadata: options.Metadata = None,
    unpin: Annotated[bool, typer.Option("--unpin", help="Propose to unpin it instead.")] = False,
    valid_for: options.ValidFor = "90d",
    yes: options.Yes = False,
) -> None:
    """Write a proposal to a file, signed if you pass --key. Needs no network, but --genesis."""
    from bftcluster.cid import parse
    from bftcluster.ledger.wire.operations import UnpinOperation
    from bftcluster_cli import proposals

    settings = settings_of(ctx)
    cluster = offline_cluster(settings)
    operation: Operation = UnpinOperation(cid=parse(cid))
    if not unpin:
        choice = options.PinChoice(
            name=name,
            least=least,
            most=most,
            expire_in=expire_in,
            place=tuple(place or ()),
            metadata=tuple(metadata or ()),
        )
        operation = choice.operation(cid, now_ms=proposals.now_ms())
    write_proposal(settings, cluster, operation, output, valid_for=valid_for, yes=yes)


def sign(ctx: typer.Context, file: FileArgument, yes: options.Yes = False) -> None:
    """Show what a file proposes in plain words, and add your signature if you agree."""
    settings = settings_of(ctx)
    cluster = offline_cluster(settings)
    content = signed(settings, cluster, read_proposal(file), yes=yes)
    replace_file(file, content.to_bytes())
    report_file(settings, cluster, content, file)


def show(ctx: typer.Context, file: FileArgument) -> None:
    """Show what a file proposes, and who has signed it."""
    from bftcluster_cli.display.wording import proposal_text

    settings = settings_of(ctx)
    cluster = offline_cluster(settings)
    content = read_proposal(file)
    emit(
        settings,
        _record(cluster, content, file),
        proposal_text(checked_proposal(cluster, content), cluster),
    )


def merge(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Copies of one proposal.")],
    *,
    output: Output,
) -> None:
    """Bring the signatures in several copies of one proposal together in a new file."""
    settings = settings_of(ctx)
    merged, *others = map(read_proposal, files)
    for other in others:
        merged = merged.merge(other)
    write_new(output, merged.to_bytes())
    record = {"file": str(output), "proposal": merged.intent.digest.hex()}
    count = len(merged.approvals)
    emit(settings, record | {"signatures": count}, f"{output}: {count} signatures")


def submit(ctx: typer.Context, file: FileArgument, wait: options.Wait = False) -> None:
    """Hand a proposal that enough maintainers have signed to the cluster."""
    from bftcluster.ledger.wire.requests import Submit
    from bftcluster.signing.keys import Ed25519Verifier
    from bftcluster.signing.schemes import certify
    from bftcluster_cli import proposals
    from bftcluster_cli.clusters import cluster_of

    settings = settings_of(ctx)
    content = read_proposal(file)
    with Client(settings) as client:
        cluster = cluster_of(client, settings)
        proposal = checked_proposal(cluster, content)
        data, policy = content.intent.to_bytes(), cluster.policy
        approvals = valid_approvals(cluster, content)
        certificate = certify(data, approvals, policy, Ed25519Verifier())
        outcome = proposals.submit(client, Submit(certificate=certificate).to_bytes())
        record = voted_record(proposal, cluster, outcome, signed=len(proposal.approvers))
        report_outcome(client, settings, record, wait=wait)


def offline_cluster(settings: GlobalOptions) -> "Cluster":
    """Return the cluster of ``--genesis``.

    Raises:
        UsageError: It was not passed.
    """
    from bftcluster_cli.clusters import Cluster, read_genesis

    if settings.genesis is None:
        raise UsageError(
            "this needs the cluster's genesis, as it asks no peer",
            hint="pass --genesis FILE or set BFTCLUSTER_GENESIS",
        )
    genesis = read_genesis(settings.genesis)
    return Cluster(genesis=genesis, policy=genesis.policy)


def write_proposal(
    settings: GlobalOptions,
    cluster: "Cluster",
    operation: "Operation",
    output: Path,
    *,
    valid_for: str,
    yes: bool,
) -> None:
    """Write a new proposal of ``operation`` to ``output``, signed if there is a key; report it."""
    from bftcluster.signing.proposal_file import ProposalFile
    from bftcluster_cli import proposals

    intent = proposals.new_intent(cluster, operation, lifetime_ms=options.duration_ms(valid_for))
    content = ProposalFile(intent=intent)
    if settings.key is not None:
        content = signed(settings, cluster, content, yes=yes)
    write_new(output, content.to_bytes())
    report_file(settings, cluster, content, output)


def read_proposal(file: Path) -> "ProposalFile":
    """Return what is in a proposal file.

    Raises:
        UsageError: It is none.
    """
    from bftcluster.signing.proposal_file import ProposalFile

    hint = "make one with `bftcluster pin propose CID --output FILE`"
    return read_as(ProposalFile.from_bytes, file, what="proposal file", hint=hint)


def signed(
    settings: GlobalOptions, cluster: "Cluster", content: "ProposalFile", *, yes: bool
) -> "ProposalFile":
    """Return the file with our signature, once the person has read what it proposes and agreed."""
    from bftcluster.signing.approvals import approve
    from bftcluster_cli.display.wording import confirm, proposal_text, subject_text
    from bftcluster_cli.keys.key_files import open_maintainer_key
    from bftcluster_cli.proposals import check_maintainer

    proposal = checked_proposal(cluster, content)
    if problem := recovery_problem(proposal.operation, len(cluster.genesis.peers)):
        raise RefusedError(
            f"this recovery must not be signed: {problem}",
            hint="every peer refuses it; let whoever wrote it make more new peers, "
            "and name each with --peer",
        )
    say(f"you are about to approve:\n\n{proposal_text(proposal, cluster)}\n")
    confirm(f"sign and approve {subject_text(proposal.operation)}?", yes=yes)
    _, key = open_maintainer_key(settings)
    check_maintainer(cluster, key)
    approval = approve(content.intent.to_bytes(), key, scheme=cluster.policy.scheme)
    return content.with_approvals([approval])


def recovery_problem(operation: "Operation", voters: int) -> str:
    """Return why peers would refuse a recovery when it is applied; empty if they would not.

    Args:
        operation: A recovery, or anything else, with which nothing is wrong.
        voters: How many voted before, as far as is known: the founders, if nothing else is. Not
            fewer than four ever vote once four do.
    """
    from bftcluster.ledger.state.membership_rows import voters_min
    from bftcluster.ledger.wire.recovery_operation import RecoverCluster

    if not isinstance(operation, RecoverCluster):
        return ""
    n, least = operation.start.membership.n, voters_min(voters)
    return "" if n >= least else f"{n} replicas would vote, fewer than {least}"


def checked_proposal(cluster: "Cluster", content: "ProposalFile") -> "Proposal":
    """Return what a file proposes, checked as what a peer shows is checked.

    Raises:
        RefusedError: It is not for this cluster, or makes no sense.
    """
    from bftcluster_cli.proposals import check_intent

    try:
        operation = check_intent(content.intent, cluster)
    except ClusterError as exc:
        raise RefusedError(
            f"this proposal must not be signed: {exc}", hint="is --genesis the right one?"
        ) from None
    from bftcluster_cli.proposals import Proposal

    approvers = {each.maintainer for each in valid_approvals(cluster, content)}
    return Proposal(
        intent=content.intent,
        operation=operation,
        approvers=tuple(sorted(approvers)),
        rejecters=(),
        state="in a file",
    )


def valid_approvals(cluster: "Cluster", content: "ProposalFile") -> list["Approval"]:
    """Return the signatures that count; whoever passed the file on may have added others."""
    from bftcluster.signing.approvals import is_valid_vote
    from bftcluster.signing.envelope import Domain
    from bftcluster.signing.keys import Ed25519Verifier

    verifier, policy, digest = Ed25519Verifier(), cluster.policy, content.intent.digest
    return [
        each
        for each in content.approvals
        if each.maintainer in policy.positions
        and is_valid_vote(each, Domain.APPROVAL, digest, policy.scheme, verifier)
    ]


def report_file(
    settings: GlobalOptions, cluster: "Cluster", content: "ProposalFile", file: Path
) -> None:
    """Say how far the signatures have come."""
    record = _record(cluster, content, file)
    counted = f"{len(record['signed'])} of {record['threshold']} signatures"
    last = "apply it to each peer" if record["kind"] == "recover" else "submit it"
    after = last if record["complete"] else "pass it on to be signed"
    emit(settings, record, f"{file}: {counted}; {after}")


def _record(cluster: "Cluster", content: "ProposalFile", file: Path) -> dict[str, Any]:
    from bftcluster_cli.display.wording import subject_record

    proposal = checked_proposal(cluster, content)
    threshold = cluster.policy.threshold
    missing = [each for each in cluster.policy.positions if each not in proposal.approvers]
    return {
        "file": str(file),
        "proposal": content.intent.digest.hex(),
        **subject_record(proposal.operation),
        "threshold": threshold,
        "signed": [label(cluster.name_of(each)) for each in proposal.approvers],
        "missing": [label(cluster.name_of(each)) for each in missing],
        "complete": len(proposal.approvers) >= threshold,
    }
