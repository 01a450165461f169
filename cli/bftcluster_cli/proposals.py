"""Proposals: made and signed here, or fetched from a peer and checked before anybody signs them."""

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bftcluster.errors import ClusterError, NotReachedError, RefusedError, UsageError
from bftcluster.limits import INTENT_NONCE_SIZE_BYTES
from bftcluster_cli.client import Client, NotThereError, Record
from bftcluster_cli.clusters import Cluster, bytes_in
from bftcluster_cli.untrusted_text import label, message

if TYPE_CHECKING:
    from bftcluster.cid import Cid
    from bftcluster.ids import MaintainerId
    from bftcluster.ledger.wire.operations import Operation
    from bftcluster.signing.approvals import Intent
    from bftcluster.signing.envelope import Domain
    from bftcluster.signing.keys import SigningKey

LIFETIME_DEFAULT_MS: Final = 14 * 86_400_000
_CLOCK_SKEW_MS: Final = 60_000
"""A proposal is valid from a minute ago, in case the peers' clocks are behind."""
_PREFIX_MIN_CHARS: Final = 8
_DIGEST_CHARS: Final = 64

_HINTS: Final = {
    "wrong-cluster": "check --api: the proposal is for another cluster",
    "wrong-policy": "the policy has changed since; propose again",
    "not-yet-valid": "check this machine's clock",
    "expired": "propose again; check this machine's clock",
    "replayed": "it was decided already; see `bftcluster pin status`",
    "unknown-maintainer": "only maintainers of the cluster may sign; see `bftcluster cluster show`",
    "unknown-proposal": "it was decided or has expired; see `bftcluster pin status`",
    "unknown-pin": "see `bftcluster pin ls`",
    "not-enough-peers": "ask for fewer replicas with --replication-min, or add peers",
    "too-many-proposals": "have some of yours approved or rejected first",
    "already-rejected": "a rejection is final; propose again instead",
}
_DONE: Final = frozenset(
    {"committed", "pending", "already", "rejection-counted", "rejected", "accepted", "recorded"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A proposal whose bytes, and every signature named here, were checked on this machine."""

    intent: "Intent"
    operation: "Operation"
    approvers: tuple["MaintainerId", ...]
    rejecters: tuple["MaintainerId", ...]
    state: str
    """By the peer's word: ``pending``, ``committed``, …"""


def now_ms() -> int:
    """Return Unix milliseconds of this machine's clock."""
    return time.time_ns() // 1_000_000


def new_intent(
    cluster: Cluster, operation: "Operation", *, lifetime_ms: int = LIFETIME_DEFAULT_MS
) -> "Intent":
    """Return a fresh intent to carry out ``operation`` in ``cluster``."""
    from bftcluster.signing.approvals import Intent

    begin_ms = now_ms() - _CLOCK_SKEW_MS
    return Intent(
        cluster_id=cluster.genesis.cluster_id,
        policy_version=cluster.policy.version,
        policy_hash=cluster.policy.hash,
        operation=operation.to_bytes(),
        nonce=os.urandom(INTENT_NONCE_SIZE_BYTES),
        not_before_ms=begin_ms,
        expires_ms=begin_ms + lifetime_ms,
    )


def check_maintainer(cluster: Cluster, key: "SigningKey") -> None:
    """Return if the key may sign in this cluster.

    Raises:
        RefusedError: It may not.
    """
    if key.public_key not in cluster.policy.positions:
        names = ", ".join(label(maintainer.name) for maintainer in cluster.policy.maintainers)
        raise RefusedError(
            f"your key is not one of the maintainers of {cluster.label}",
            hint=f"its maintainers are {names}; choose a key with --key",
        )


def propose(client: Client, cluster: Cluster, key: "SigningKey", intent: "Intent") -> Record:
    """Put an intent on the log with its first approval; return what became of it.

    Raises:
        RefusedError: The cluster said no.
        NotReachedError: It did not decide in time.
    """
    from bftcluster.ledger.wire.requests import Propose
    from bftcluster.signing.approvals import approve

    scheme = cluster.policy.scheme
    approval = approve(intent.to_bytes(), key, scheme=scheme)
    request = Propose(intent=intent.to_bytes(), approval=approval, scheme=scheme)
    return submit(client, request.to_bytes())


def vote(
    client: Client, cluster: Cluster, key: "SigningKey", proposal: Proposal, *, approves: bool
) -> Record:
    """Add a yes or a no to a proposal on the log; return what became of it.

    Raises:
        ClusterError: As ``propose``.
    """
    from bftcluster.ledger.wire.requests import Approve, Reject
    from bftcluster.signing.approvals import approve, reject

    data, scheme = proposal.intent.to_bytes(), cluster.policy.scheme
    digest = proposal.intent.digest
    if approves:
        yes = approve(data, key, scheme=scheme)
        request = Approve(intent_digest=digest, approval=yes, scheme=scheme)
        return submit(client, request.to_bytes())
    no = reject(data, key, scheme=scheme)
    refusal = Reject(intent_digest=digest, approval=no, scheme=scheme)
    return submit(client, refusal.to_bytes())


def submit(client: Client, request: bytes) -> Record:
    """Hand one signed request to the order, and wait for its outcome.

    Raises:
        RefusedError: The cluster said no.
        NotReachedError: It did not decide in time.
    """
    outcome = client.post(
        "/operations",
        params={"wait": "committed", "timeout": f"{client.timeout_s:.3f}"},
        content=request,
    )
    code, detail = str(outcome.get("code", "")), message(str(outcome.get("detail", "")))
    if code in _DONE:
        return outcome
    if code == "timeout":
        raise NotReachedError(
            f"the cluster did not decide within {client.timeout_s:.0f} s; it still may",
            hint="too few peers may be up: see `bftcluster peer status`, then `pin pending`",
        )
    reason = message(code).replace("-", " ") or "no reason given"
    what = f"{detail} ({reason})" if detail else reason
    raise RefusedError(f"the cluster refused: {what}", hint=_HINTS.get(code, ""))


def find(client: Client, cluster: Cluster, target: str) -> Proposal:
    """Return the open proposal that a digest, the start of one, or a CID means.

    Raises:
        UsageError: It means none, or several.
        RefusedError: The peer shows something else than it says.
    """
    from bftcluster.ledger.wire.operations import content_of

    if len(target) == _DIGEST_CHARS and _is_hex(target):
        return fetch(client, cluster, target.lower())
    matches = [record for record in client.lines("/proposals") if _is_meant(record, target)]
    if not matches:
        raise _no_open_proposal(client, target)
    if len(matches) > 1:
        digests = ", ".join(str(record.get("digest", ""))[:12] for record in matches)
        raise UsageError(
            f"{len(matches)} open proposals match {target!r}", hint=f"name one of {digests}"
        )
    found = fetch(client, cluster, str(matches[0].get("digest", "")))
    if not _is_hex(target) and content_of(found.operation) != _cid(target):
        raise RefusedError(
            f"{client.api} shows a proposal about another CID than it says",
            hint="this peer lies; use another with --api",
        )
    return found


def fetch(client: Client, cluster: Cluster, digest: str) -> Proposal:
    """Return one proposal, checked.

    Raises:
        UsageError: There is no such proposal.
        RefusedError: It is decided; or what the peer shows is not that proposal, or not this
            cluster's.
    """
    try:
        record = client.get(f"/proposals/{digest}")
    except NotThereError:
        raise UsageError(
            f"there is no proposal {digest[:12]}…", hint="list them with `bftcluster pin pending`"
        ) from None
    state = record.get("state")
    if state == "committed":
        raise RefusedError(
            "this proposal has its approvals already: "
            f"it was committed at batch {message(str(record.get('seq')))}",
            hint="see `bftcluster pin status`",
        )
    if state == "rejected":
        raise RefusedError(
            "this proposal is rejected already", hint="a rejection is final; propose again instead"
        )
    try:
        return checked(record, cluster, digest)
    except ClusterError as exc:
        raise RefusedError(
            f"{client.api} shows a proposal that must not be signed: {exc}",
            hint="this peer lies or is of another version; use another with --api",
        ) from None


def checked(record: Record, cluster: Cluster, digest: str) -> Proposal:
    """Return the proposal in a peer's answer, decoded from the bytes that would be signed.

    Raises:
        ClusterError: The bytes are not those of ``digest``, or not for this cluster and policy.
    """
    from bftcluster.signing.approvals import Intent
    from bftcluster.signing.envelope import Domain

    intent = Intent.from_bytes(bytes_in(record, "intent"))
    if intent.digest.hex() != digest:
        raise RefusedError("its bytes have another digest")
    return Proposal(
        intent=intent,
        operation=check_intent(intent, cluster),
        approvers=_voters(record.get("approvals"), cluster, intent, Domain.APPROVAL),
        rejecters=_voters(record.get("rejections"), cluster, intent, Domain.REJECTION),
        state=message(str(record.get("state", ""))),
    )


def check_intent(intent: "Intent", cluster: Cluster) -> "Operation":
    """Return the operation of an intent that may be signed for ``cluster``.

    Raises:
        ClusterError: It is for another cluster or policy, or its operation makes no sense.
    """
    from bftcluster.ledger.wire.operations import parse_operation

    if intent.cluster_id != cluster.genesis.cluster_id:
        raise RefusedError("it is for another cluster")
    if (intent.policy_version, intent.policy_hash) != (cluster.policy.version, cluster.policy.hash):
        raise RefusedError("it is for another policy")
    return parse_operation(intent.operation)


def _voters(
    votes: object, cluster: Cluster, intent: "Intent", domain: "Domain"
) -> tuple["MaintainerId", ...]:
    """Return the maintainers whose signature verifies here; others are not mentioned."""
    from bftcluster.signing.approvals import Approval, is_valid_vote
    from bftcluster.signing.keys import Ed25519Verifier, parse_maintainer

    found: set[MaintainerId] = set()
    verifier = Ed25519Verifier()
    for vote_record in votes if isinstance(votes, list) else []:
        try:
            maintainer = parse_maintainer(str(vote_record["maintainer"]))
            ballot = Approval(maintainer=maintainer, signature=bytes_in(vote_record, "signature"))
        except (ClusterError, KeyError, TypeError):
            continue
        is_member = maintainer in cluster.policy.positions
        scheme = cluster.policy.scheme
        if is_member and is_valid_vote(ballot, domain, intent.digest, scheme, verifier):
            found.add(maintainer)
    return tuple(sorted(found))


def _no_open_proposal(client: Client, target: str) -> ClusterError:
    """Return what to tell somebody who means no proposal that is open."""
    if _is_hex(target):
        return UsageError(
            f"no open proposal begins with {target!r}",
            hint="it may have its approvals already: see `bftcluster pin status`; "
            "`bftcluster pin pending` lists what is open",
        )
    from bftcluster import cid as cids

    cid = cids.text(_cid(target))
    try:
        client.get(f"/allocations/{cid}")
    except NotThereError:
        return UsageError(
            f"no open proposal is about {target!r}", hint="list them with `bftcluster pin pending`"
        )
    return RefusedError(
        f"{cid} is pinned already: its proposal has its approvals",
        hint=f"see `bftcluster pin status {cid}`",
    )


def _is_meant(record: Record, target: str) -> bool:
    if _is_hex(target) and len(target) >= _PREFIX_MIN_CHARS:
        return str(record.get("digest", "")).startswith(target.lower())
    text = record.get("cid")
    return isinstance(text, str) and _cid(text) == _cid(target)


def _cid(text: str) -> "Cid":
    from bftcluster.cid import parse

    return parse(text)


def _is_hex(text: str) -> bool:
    return bool(text) and not text.strip("0123456789abcdefABCDEF")
