"""What a proposal means, in plain words, from the very bytes that are signed."""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, assert_never

from bftcluster.errors import RefusedError, UsageError
from bftcluster_cli.client import printable
from bftcluster_cli.clusters import Cluster
from bftcluster_cli.output import ask, plural

if TYPE_CHECKING:
    from bftcluster.ids import PeerId
    from bftcluster.ledger.member_operations import AdmitPeer
    from bftcluster.ledger.operations import Operation, PinOperation
    from bftcluster.ledger.recovery_operation import RecoverCluster
    from bftcluster_cli.proposals import Proposal


def proposal_text(proposal: "Proposal", cluster: Cluster) -> str:
    """Return everything about a proposal that a maintainer should know before signing."""
    policy = cluster.policy
    approvers = ", ".join(printable(cluster.name_of(each)) for each in proposal.approvers)
    lines = [
        *operation_lines(proposal.operation, cluster),
        f"cluster      {printable(cluster.label)}",
        f"valid until  {time_text(proposal.intent.expires_ms)}",
        f"approved by  {approvers or 'nobody yet'} "
        f"({len(proposal.approvers)} of {policy.threshold})",
    ]
    if proposal.rejecters:
        names = ", ".join(printable(cluster.name_of(each)) for each in proposal.rejecters)
        lines.append(f"rejected by  {names}")
    lines.append(f"digest       {proposal.intent.digest.hex()}")
    return "\n".join(f"  {line}" for line in lines)


def operation_lines(operation: "Operation", cluster: Cluster) -> list[str]:
    """Return what an operation does, one line for each thing it says."""
    from bftcluster import cid as cids
    from bftcluster.ledger.member_operations import AdmitPeer, RemovePeer
    from bftcluster.ledger.operations import PinOperation, UnpinOperation
    from bftcluster.ledger.recovery_operation import RecoverCluster

    match operation:
        case PinOperation():
            return _pin_lines(operation, cluster)
        case UnpinOperation():
            return [
                f"UNPIN        {cids.text(operation.cid)}",
                "what         no peer keeps it any more",
            ]
        case AdmitPeer():
            return _admit_lines(operation)
        case RemovePeer():
            return [
                f"REMOVE PEER  {_peer_text(operation.peer)}",
                "what         it belongs to the cluster no longer; others hold what it held",
            ]
        case RecoverCluster():
            return _recover_lines(operation)
        case _:
            assert_never(operation)


def subject_record(operation: "Operation") -> dict[str, str | None]:
    """Return what an operation is about, for a command's JSON."""
    from bftcluster import cid as cids
    from bftcluster.ledger.member_operations import AdmitPeer, RemovePeer
    from bftcluster.ledger.operations import PinOperation, UnpinOperation
    from bftcluster.ledger.recovery_operation import RecoverCluster

    match operation:
        case PinOperation(cid=cid, name=name):
            return {"kind": "pin", "cid": cids.text(cid), "name": name}
        case UnpinOperation(cid=cid):
            return {"kind": "unpin", "cid": cids.text(cid), "name": ""}
        case AdmitPeer(name=name):
            return {"kind": "admit", "cid": None, "name": name}
        case RemovePeer(peer=peer):
            return {"kind": "remove", "cid": None, "name": _peer_text(peer)}
        case RecoverCluster():
            return {"kind": "recover", "cid": None, "name": ""}
        case _:
            assert_never(operation)


def _recover_lines(operation: "RecoverCluster") -> list[str]:
    beyond = operation.executed - operation.seq
    proof = operation.proof
    by = "the genesis" if proof is None else f"{len(proof.signatures)} of epoch {proof.epoch}"
    return [
        f"RECOVER      the cluster goes on from batch {operation.seq}, certified by {by}",
        f"state root   {operation.state_root.hex()}",
        f"set aside    {plural(beyond, 'batch', 'batches')} beyond it; their requests are "
        "ordered again",
        f"epoch        {operation.epoch}; no vote of an earlier one counts any more",
        *(f"votes        {_peer_text(peer)}, as before" for peer in operation.staying),
        *(
            f"votes        {_peer_text(peer.peer)}, NEW: {printable(peer.name)} at "
            f"{printable(', '.join(peer.addresses)) or '(no address)'}"
            for peer in operation.coming
        ),
        *(
            f"removed      {_peer_text(peer)}: its key never votes again"
            for peer in operation.leaving
        ),
        "danger       if the cluster can still order, this splits it in two: sign only if more",
        "             disks are lost for good than it can bear, and no survivor was left out",
    ]


def _admit_lines(operation: "AdmitPeer") -> list[str]:
    votes = "orders with the others, from an epoch boundary on" if operation.votes else "no"
    return [
        f"ADMIT PEER   {_peer_text(operation.peer)}",
        f"name         {printable(operation.name)}",
        f"addresses    {printable(', '.join(operation.addresses)) or '(none)'}",
        f"votes        {votes}",
    ]


def _peer_text(peer: "PeerId") -> str:
    from bftcluster.signing.keys import peer_id_text

    return peer_id_text(peer)


def _pin_lines(operation: "PinOperation", cluster: Cluster) -> list[str]:
    from bftcluster import cid as cids
    from bftcluster.ledger.operations import PinMode
    from bftcluster.signing.keys import peer_id_text

    until = time_text(operation.expire_at_ms) if operation.expire_at_ms else "unpinned"
    lines = [
        f"pin          {cids.text(operation.cid)}",
        f"name         {printable(operation.name) or '(none)'}",
        f"copies       {replication_text(operation, cluster)}",
        f"until        {until}",
    ]
    if operation.mode is PinMode.DIRECT:
        lines.append("mode         direct: this block alone, not what it links to")
    if operation.pin_update is not None:
        lines.append(f"replaces     the options of {cids.text(operation.pin_update)}")
    lines += [
        f"metadata     {printable(key)}={printable(value)}" for key, value in operation.metadata
    ]
    lines += [f"prefers      {peer_id_text(peer)}" for peer in operation.user_allocations]
    lines += [f"origin       {printable(origin)}" for origin in operation.origins]
    return lines


def replication_text(operation: "PinOperation", cluster: Cluster) -> str:
    """Return how many peers keep a pin."""
    least = operation.replication_min or cluster.genesis.replication_min
    most = operation.replication_max or cluster.genesis.replication_max
    if -1 in (least, most):
        return "on every peer"
    return plural(most, "peer") if least == most else f"{least} to {most} peers"


def time_text(ms: int) -> str:
    """Return Unix milliseconds as a date and time in UTC."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return f"the {ms}th millisecond since 1970"


def check_consent_possible(*, yes: bool) -> None:
    """Return if consent was given, or can be asked for.

    Raises:
        UsageError: There is nobody to ask.
    """
    if not yes and not sys.stdin.isatty():
        raise UsageError(
            "this needs your consent, and there is no terminal to ask at",
            hint="pass --yes once you know what it does",
        )


def confirm(question: str, *, yes: bool, refusal: str = "nothing was signed") -> None:
    """Return once the person has agreed.

    Raises:
        UsageError: There is nobody to ask.
        RefusedError: They did not agree.
    """
    check_consent_possible(yes=yes)
    if yes:
        return
    ask(f"{question} [y/N] ")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise RefusedError(refusal)
