"""Two of the maintainers at one desk: they sign together, so that one request carries it out."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bftcluster_cli import proposals
from bftcluster_cli.client import Client, Record
from bftcluster_cli.clusters import Cluster, cluster_of
from bftcluster_cli.demo.cluster import MAINTAINERS, THRESHOLD, DemoCluster
from bftcluster_cli.demo.processes import PeerProcess
from bftcluster_cli.framework import GlobalOptions
from bftcluster_cli.keys.key_files import open_maintainer_key

if TYPE_CHECKING:
    from bftcluster.ledger.wire.operations import Operation
    from bftcluster.signing.keys import SigningKey


@dataclass(slots=True, kw_only=True)
class Desk:
    """Where as many maintainers as must agree sign what the story needs by the hundred."""

    cluster: DemoCluster
    _keys: "list[SigningKey]" = field(default_factory=list)
    _known: Cluster | None = None

    def decide(self, operation: "Operation", *, at: PeerProcess) -> Record:
        """Have an operation approved and ordered at a peer; see ``decide_with``."""
        with self.cluster.client(at) as client:
            return self.decide_with(client, operation)

    def decide_with(self, client: Client, operation: "Operation") -> Record:
        """Have an operation approved and ordered; return what became of it.

        Raises:
            ClusterError: It was refused, or not decided in time.
        """
        from bftcluster.ledger.wire.requests import Submit
        from bftcluster.signing.approvals import approve
        from bftcluster.signing.keys import Ed25519Verifier
        from bftcluster.signing.schemes import certify

        if self._known is None:
            self._open()
            self._known = cluster_of(client, GlobalOptions(genesis=self.cluster.genesis))
        intent = proposals.new_intent(self._known, operation).to_bytes()
        approvals = [approve(intent, key) for key in self._keys]
        certificate = certify(intent, approvals, self._known.policy, Ed25519Verifier())
        return proposals.submit(client, Submit(certificate=certificate).to_bytes())

    def _open(self) -> None:
        for name in MAINTAINERS[:THRESHOLD]:
            _, key = open_maintainer_key(
                GlobalOptions(
                    key=self.cluster.key(name), passphrase_file=str(self.cluster.passphrase)
                )
            )
            self._keys.append(key)
