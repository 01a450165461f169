"""What a proposal means, in plain words, from the very bytes that are signed."""

import sys
import textwrap
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, assert_never

from bftcluster.errors import RefusedError, UsageError
from bftcluster_cli.clusters import Cluster
from bftcluster_cli.display.strategies import strategy_lines
from bftcluster_cli.display.terms import terms_lines
from bftcluster_cli.output import ask, plural, size_text
from bftcluster_cli.untrusted_text import (
    LABEL_MAX_COLUMNS,
    VALUE_MAX_COLUMNS,
    cautions,
    label,
    quoted,
)

if TYPE_CHECKING:
    from bftcluster.ids import MaintainerId, PeerId
    from bftcluster.ledger.wire.invitation_operations import Invite
    from bftcluster.ledger.wire.member_operations import AdmitPeer
    from bftcluster.ledger.wire.operations import Operation, PinOperation
    from bftcluster.ledger.wire.pin_strategy import SetAgeRules
    from bftcluster.ledger.wire.recovery_operation import RecoverCluster
    from bftcluster_cli.proposals import Proposal


_KEY_COLUMNS: Final = 24
_VALUE_COLUMNS: Final = VALUE_MAX_COLUMNS - _KEY_COLUMNS - 1
_PREFERRED_SHOWN_MAX: Final = 8


def proposal_text(proposal: "Proposal", cluster: Cluster) -> str:
    """Return everything about a proposal that a maintainer should know before signing."""
    lines = [
        *operation_lines(proposal.operation, cluster),
        f"cluster      {cluster.label}",
        f"valid until  {time_text(proposal.intent.expires_ms)}",
        *_voter_lines("approved by", proposal.approvers, cluster),
    ]
    if proposal.rejecters:
        lines += _voter_lines("rejected by", proposal.rejecters, cluster)
    lines.append(f"digest       {proposal.intent.digest.hex()}")
    return "\n".join(f"  {line}" for line in lines)


def _voter_lines(what: str, voters: Collection["MaintainerId"], cluster: Cluster) -> Iterator[str]:
    """Yield who voted, in as many lines as that takes: all but the first begin further right."""
    names = ", ".join(label(cluster.name_of(each), columns=24) for each in voters) or "nobody yet"
    text = f"{names} ({len(voters)} of {cluster.policy.threshold})"
    for line in textwrap.wrap(text, VALUE_MAX_COLUMNS):
        yield f"{what.ljust(11)}  {line}"
        what = ""


def subject_text(operation: "Operation") -> str:
    """Return what is asked about, in one line that ends with what is ours: a CID or an id."""
    from bftcluster import cid as cids
    from bftcluster.ledger.wire.invitation_operations import Invite, RevokeInvite, invite_name
    from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
    from bftcluster.ledger.wire.operations import PinOperation, UnpinOperation
    from bftcluster.ledger.wire.pin_strategy import SetAgeRules
    from bftcluster.ledger.wire.recovery_operation import RecoverCluster

    match operation:
        case PinOperation(cid=cid, name=name):
            return (
                f"pin {quoted(name, LABEL_MAX_COLUMNS) if name else '(no name)'} {cids.text(cid)}"
            )
        case UnpinOperation(cid=cid):
            return f"UNPIN {cids.text(cid)}"
        case AdmitPeer(peer=peer, name=name):
            return f"ADMIT PEER {quoted(name, LABEL_MAX_COLUMNS)} {_peer_text(peer)}"
        case SetAgeRules():
            return "AGE RULES of all pins that do not say how many copies they have"
        case RemovePeer(peer=peer):
            return f"REMOVE PEER {_peer_text(peer)}"
        case Invite(key=key, uses=uses):
            return f"INVITE {plural(uses, 'peer', 'peers')} with {invite_name(key)}"
        case RevokeInvite(key=key):
            return f"REVOKE INVITATION {invite_name(key)}"
        case RecoverCluster(seq=seq, epoch=epoch):
            return f"RECOVER the cluster from batch {seq} in epoch {epoch}"
        case _:
            assert_never(operation)


def operation_lines(operation: "Operation", cluster: Cluster) -> list[str]:
    """Return what an operation does, one line for each thing it says."""
    from bftcluster import cid as cids
    from bftcluster.ledger.wire.invitation_operations import Invite, RevokeInvite, invite_name
    from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
    from bftcluster.ledger.wire.operations import PinOperation, UnpinOperation
    from bftcluster.ledger.wire.pin_strategy import SetAgeRules
    from bftcluster.ledger.wire.recovery_operation import RecoverCluster

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
        case Invite():
            return _invite_lines(operation)
        case RevokeInvite():
            return [
                f"REVOKE       invitation {invite_name(operation.key)}",
                "what         it lets nobody in any more; who came by it stays",
            ]
        case SetAgeRules():
            return _age_rule_lines(operation)
        case RecoverCluster():
            return _recover_lines(operation, cluster)
        case _:
            assert_never(operation)


def subject_record(operation: "Operation") -> dict[str, str | None]:
    """Return what an operation is about, for a command's JSON."""
    from bftcluster import cid as cids
    from bftcluster.ledger.wire.operations import content_of, label_of

    content = content_of(operation)
    cid = None if content is None else cids.text(content)
    return {"kind": label_of(operation), "cid": cid, "name": operation.subject}


def _invite_lines(operation: "Invite") -> list[str]:
    from bftcluster.ledger.wire.invitation_operations import invite_name

    place = "domain and operator, where they are not named, are what each of them says"
    return [
        f"INVITE       {plural(operation.uses, 'peer', 'peers')}, whoever has its secret "
        f"({invite_name(operation.key)})",
        f"until        {time_text(operation.expires_ms)}",
        *terms_lines(operation.terms),
        *([f"place        {place}"] if operation.is_place_open else []),
    ]


def _age_rule_lines(operation: "SetAgeRules") -> list[str]:
    from bftcluster_cli.pin_options import duration_text

    lines = ["AGE RULES    how many copies pins have that do not say it themselves"]
    lines += [
        f"rule         from {duration_text(rule.older_than_ms)} on: "
        f"{rule.replication_min} to {rule.replication_max} copies"
        for rule in operation.rules
    ]
    return lines if operation.rules else [*lines, "rule         none: as the genesis says"]


def _recover_lines(operation: "RecoverCluster", cluster: Cluster) -> list[str]:
    beyond = operation.executed - operation.seq
    proof = operation.proof
    by = "the genesis" if proof is None else f"{len(proof.signatures)} of epoch {proof.epoch}"
    after = operation.start.membership
    return [
        f"RECOVER      the cluster goes on from batch {operation.seq}, certified by {by}",
        f"state root   {operation.state_root.hex()}",
        f"set aside    {plural(beyond, 'batch', 'batches')} beyond it; their requests are "
        "ordered again",
        f"epoch        {operation.epoch}; no vote of an earlier one counts any more",
        f"quorum       {after.quorum} of {after.n} must agree, {after.f} may be faulty",
        *(
            f"votes        {known_peer_text(peer, cluster)}, as before"
            for peer in operation.staying
        ),
        *(line for peer in operation.coming for line in _newcomer_lines(peer)),
        *(
            f"removed      {known_peer_text(peer, cluster)}: its key never votes again"
            for peer in operation.leaving
        ),
        "danger       if the cluster can still order, this splits it in two: sign only if more",
        "             disks are lost for good than it can bear, and no survivor was left out",
    ]


def _newcomer_lines(peer: "AdmitPeer") -> list[str]:
    return [
        f"votes        {_peer_text(peer.peer)}, NEW",
        f"name         {quoted(peer.name)}",
        *(f"address      {quoted(address)}" for address in peer.addresses),
        *terms_lines(peer.terms),
        *_careful([peer.name, *peer.addresses, peer.terms.domain, peer.terms.operator]),
    ]


def _admit_lines(operation: "AdmitPeer") -> list[str]:
    terms = operation.terms
    votes = "orders with the others, from an epoch boundary on" if operation.votes else "no"
    return [
        f"ADMIT PEER   {_peer_text(operation.peer)}",
        f"name         {quoted(operation.name)}",
        *(f"address      {quoted(address)}" for address in operation.addresses),
        f"votes        {votes}",
        *terms_lines(terms),
        *_careful([operation.name, *operation.addresses, terms.domain, terms.operator]),
    ]


def _careful(texts: Iterable[str]) -> list[str]:
    return [f"careful      {line}" for line in cautions(texts)]


def known_peer_text(peer: "PeerId", cluster: Cluster) -> str:
    """Return a peer's id, and its name if it is in the genesis."""
    named = [each.name for each in cluster.genesis.peers if each.peer == peer]
    return " ".join([_peer_text(peer), *(quoted(name, LABEL_MAX_COLUMNS) for name in named)])


def _peer_text(peer: "PeerId") -> str:
    from bftcluster.signing.keys import peer_id_text

    return peer_id_text(peer)


def _pin_lines(operation: "PinOperation", cluster: Cluster) -> list[str]:
    from bftcluster import cid as cids
    from bftcluster.ledger.wire.operations import PinMode
    from bftcluster.signing.keys import peer_id_text

    until = time_text(operation.expire_at_ms) if operation.expire_at_ms else "unpinned"
    lines = [
        f"pin          {cids.text(operation.cid)}",
        f"name         {quoted(operation.name) if operation.name else '(none)'}",
        f"contents     {_contents_text(operation)}",
        f"copies       {replication_text(operation, cluster)}",
        f"until        {until}",
    ]
    if operation.mode is PinMode.DIRECT:
        lines.append("mode         direct: this block alone, not what it links to")
    if operation.pin_update is not None:
        lines.append(f"replaces     the options of {cids.text(operation.pin_update)}")
    lines += [
        f"metadata     {quoted(key, _KEY_COLUMNS)}={quoted(value, _VALUE_COLUMNS)}"
        for key, value in operation.metadata
    ]
    lines += [f"holders      {line}" for line in strategy_lines(operation.strategy)]
    preferred = operation.user_allocations
    lines += [f"prefers      {peer_id_text(peer)}" for peer in preferred[:_PREFERRED_SHOWN_MAX]]
    if more := len(preferred[_PREFERRED_SHOWN_MAX:]):
        lines.append(f"prefers      {plural(more, 'more peer')}")
    lines += [f"origin       {quoted(origin)}" for origin in operation.origins]
    pairs = [text for pair in operation.metadata for text in pair]
    return lines + _careful([operation.name, *pairs, *operation.origins])


def _contents_text(operation: "PinOperation") -> str:
    contents = operation.contents
    if contents is None:
        return "unknown: nobody who knows its size has said it"
    return f"{size_text(contents.size_bytes)} in {plural(contents.blocks, 'block')}"


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
