"""Proposes in the name of a maintainer whose key this peer holds, for clients that cannot sign.

ipfs-cluster's clients send no signatures. An operator may give a peer the key of one maintainer;
what such clients ask for is then proposed in that name, and still needs everybody else's approval.
"""

import secrets
from dataclasses import dataclass
from typing import Final

from bftcluster.errors import ConfigError, NotReachedError, RefusedError
from bftcluster.ids import ClusterId, Digest
from bftcluster.ledger.wire.operations import Operation
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.ledger.wire.requests import Propose
from bftcluster.node.ingress.gateway import Gateway
from bftcluster.node.ports import Clock
from bftcluster.node.process.config import Config
from bftcluster.node.reads import LedgerReads
from bftcluster.signing.approvals import Intent, approve
from bftcluster.signing.keyfile import unseal
from bftcluster.signing.keys import SigningKey

TIMEOUT_S: Final = 30.0
LIFETIME_MS: Final = 7 * 86_400_000
_SKEW_MS: Final = 60_000
"""How far our clock may be ahead of the batch that orders the proposal."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """A proposal that was ordered."""

    digest: Digest
    committed: bool
    """False: it needs more approvals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DelegatedProposer:
    """Proposes with the key of a maintainer, if this peer was given one."""

    key: SigningKey | None
    cluster_id: ClusterId
    reads: LedgerReads
    gateway: Gateway
    clock: Clock

    def check(self) -> None:
        """Return if this peer may propose.

        Raises:
            RefusedError: It holds no maintainer's key.
        """
        if self.key is None:
            raise RefusedError(
                "this peer signs for nobody: a pin needs the signatures of maintainers",
                hint="sign with `bftcluster pin add`, or set `api.maintainer_key` in its config",
            )

    async def propose(self, operation: Operation) -> Proposed:
        """Order a proposal.

        Raises:
            RefusedError: No key, or the ledger refused.
            NotReachedError: It was not ordered in time; it may yet be.
        """
        self.check()
        assert self.key is not None, "checked"
        policy = await self.reads.policy()
        now_ms = self.clock.wall_ms()
        intent = Intent(
            cluster_id=self.cluster_id,
            policy_version=policy.version,
            policy_hash=policy.hash,
            operation=operation.to_bytes(),
            nonce=secrets.token_bytes(16),
            not_before_ms=now_ms - _SKEW_MS,
            expires_ms=now_ms + LIFETIME_MS,
        )
        approval = approve(intent.encoded, self.key, scheme=policy.scheme)
        request = Propose(intent=intent.encoded, approval=approval, scheme=policy.scheme).to_bytes()
        problem = self.gateway.client_problem(request)
        if problem:
            raise RefusedError(problem)
        [ordered] = await self.gateway.order([request], timeout_s=TIMEOUT_S)
        if ordered is None:
            raise NotReachedError(
                "the cluster did not order the proposal in time",
                hint="see `bftcluster peer status`: a quorum of replicas must be reachable",
            )
        if not ordered.outcome.is_accepted:
            raise RefusedError(ordered.outcome.detail or ordered.outcome.label)
        return Proposed(intent.digest, ordered.outcome.code is OutcomeCode.COMMITTED)

    @staticmethod
    def load_key(config: Config) -> SigningKey | None:
        """Return the key in the file that ``api.maintainer_key`` names, or None if it names none.

        Raises:
            ConfigError: It cannot be read.
            KeyFileError: It is no key file, or has a passphrase.
        """
        if not config.api.maintainer_key:
            return None
        try:
            data = config.path(config.api.maintainer_key).read_bytes()
        except OSError as exc:
            raise ConfigError(f"cannot read api.maintainer_key: {exc}") from None
        return SigningKey(unseal(data, b"").secret)
