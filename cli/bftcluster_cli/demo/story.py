"""The story: what the cluster promises, shown one promise at a time."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bftcluster.errors import ClusterError, RefusedError
from bftcluster_cli.client import Record
from bftcluster_cli.clusters import cluster_of
from bftcluster_cli.demo import content
from bftcluster_cli.demo.cluster import DemoCluster, is_ready, last, set_up, start
from bftcluster_cli.demo.processes import PeerFailedError, PeerProcess
from bftcluster_cli.demo.report import DemoReport
from bftcluster_cli.display.pin_lines import PinProgress, pin_progress
from bftcluster_cli.framework import GlobalOptions
from bftcluster_cli.output import plural, size_text

_PIN_NAME: Final = "archive"
_SECOND_PIN_NAME: Final = "diary"
_FEW_BATCHES: Final = 20
"""What joins, reports and one proposal take."""


class StoryFailedError(ClusterError):
    """The cluster did what it must not, or did not what it must."""


@dataclass(slots=True, kw_only=True)
class Story:
    """One telling."""

    cluster: DemoCluster
    source: Path
    report: DemoReport

    def tell(self) -> None:
        """Go from nothing to content that survived, filling in the report.

        Raises:
            ClusterError: Something went wrong, and what.
        """
        chapter, tell = self.cluster.narrator.chapter, self.cluster.narrator.tell
        with chapter("set_up", "Three maintainers make keys; four peers make identities."):
            set_up(self.cluster)
            tell("2 of alice, bob and carol must agree; 4 peers tolerate 1 that lies or stops.")
        with chapter("start", "Four peers start, each a process of its own."):
            start(self.cluster)
            tell("All four are connected to each other.")
        with chapter("too_few", "alice adds a directory and proposes to pin it, alone."):
            proposal = self._propose_alone()
        with chapter("commit", "bob approves, at another peer."):
            self._approve(proposal)
        with chapter("replicate", "The allocated peers fetch the blocks from each other."):
            pin = self._replicate()
        victim = self._choose_victim()
        with chapter(
            "kill", f"{victim.name} is killed with SIGKILL, and a second pin goes through."
        ):
            second = self._pin_without(victim)
        with chapter("catch_up", f"{victim.name} comes back."):
            self._catch_up(victim, second)
        with chapter("read_back", "The content is read back from a peer it was not added at."):
            self._read_back(pin, victim)

    def _propose_alone(self) -> Record:
        """Show that one signature is too few, however it is presented."""
        run, tell = self.cluster.run, self.cluster.narrator.tell
        self.report.files, self.report.size_bytes = content.measure(self.source)
        size = size_text(self.report.size_bytes)
        tell(f"{plural(self.report.files, 'file')}, {size}, all on {self._source.name} only.")
        proposal = last(
            run(
                "add", str(self.source), "--hidden", "--name", _PIN_NAME, "--yes",
                by="alice", at=self._source,
            )
        )  # fmt: skip
        self.report.cid = str(proposal["cid"])
        tell(f"Its CID is {self.report.cid}.")
        _require(proposal["code"] == "pending", f"one signature of two led to {proposal['code']}")
        status = last(run("pin", "status", self.report.cid, at=self.cluster.peers[3]))
        _require(not status["committed"], "it is pinned with one signature of two")
        tell("It is pending everywhere: 1 of 2 approvals.")
        reason = self._submit_forged(str(proposal["proposal"]))
        for peer in self.cluster.peers:
            with self.cluster.client(peer) as client:
                is_pinned = pin_progress(client, self.report.cid) is not None
            _require(not is_pinned, f"{peer.name} pins what one of two has signed")
        tell(f"alice submits a certificate with her signature alone: {reason}.")
        self.report.refused_under_threshold = True
        return proposal

    def _submit_forged(self, digest: str) -> str:
        """Submit a certificate that is one signature short; return why it was refused."""
        from bftcluster.ids import MaintainerId
        from bftcluster.ledger.wire.requests import Submit
        from bftcluster.signing.approvals import approve
        from bftcluster.signing.schemes import scheme_of
        from bftcluster_cli import proposals
        from bftcluster_cli.keys.key_files import open_maintainer_key

        settings = GlobalOptions(
            api=self._source.api,
            key=self.cluster.key("alice"),
            passphrase_file=str(self.cluster.passphrase),
            genesis=self.cluster.genesis,
        )
        with self.cluster.client(self._source) as client:
            known = cluster_of(client, settings)
            found = proposals.fetch(client, known, digest)
            _, key = open_maintainer_key(settings)
            intent = proposals.new_intent(known, found.operation).to_bytes()
            signature = approve(intent, key).signature
            short = {MaintainerId(key.public_key): signature}
            certificate = scheme_of(known.policy).combine(intent, short, known.policy)
            try:
                outcome = proposals.submit(client, Submit(certificate=certificate).to_bytes())
            except RefusedError as exc:
                return str(exc).removeprefix("the cluster ")
        raise StoryFailedError(f"a certificate one signature short led to {outcome.get('code')}")

    def _approve(self, proposal: Record) -> None:
        digest = str(proposal["proposal"])
        outcome = last(
            self.cluster.run(
                "pin", "approve", digest[:16], "--yes", by="bob", at=self.cluster.peers[2]
            )
        )
        _require(outcome["code"] == "committed", f"two of two led to {outcome['code']}")
        self.report.committed = True
        self.cluster.narrator.tell(
            f"committed: the peers ordered it with PBFT, at number {outcome['seq']}."
        )
        if int(outcome["seq"]) > _FEW_BATCHES:
            self.cluster.narrator.tell(
                "Most numbers before it are empty batches: in a new cluster the members first deal "
                "the key of a beacon that nobody can foresee, and that takes some checkpoints."
            )

    def _replicate(self) -> PinProgress:
        self.cluster.run("pin", "status", self.report.cid, "--wait", at=self.cluster.peers[3])
        pin = self._progress(self.cluster.peers[3], self.report.cid)
        self.report.replicated, self.report.wanted = pin.replicated, pin.wanted
        names = ", ".join(holder.name for holder in pin.holders)
        self.cluster.narrator.tell(f"replicated {pin.replicated}/{pin.wanted}: {names} hold it.")
        return pin

    def _choose_victim(self) -> PeerProcess:
        """Return the primary, or another peer if the primary is the one the files came from."""
        primary = self._primary()
        is_source = primary is self._source
        victim = self.cluster.peers[-1] if is_source else primary
        self.report.killed = victim.name
        self.report.killed_primary = not is_source
        return victim

    def _pin_without(self, victim: PeerProcess) -> str:
        """Kill a peer and pin something that it, too, should hold; return the CID."""
        run, tell = self.cluster.run, self.cluster.narrator.tell
        victim_id = str(self.cluster.status(victim)["peer"])
        victim.kill()
        role = ", the primary, which proposes the order," if self.report.killed_primary else ""
        tell(f"{victim.name}{role} is dead.")
        source = self.cluster.directory / "second"
        content.make_second_sample(source)
        proposal = last(
            run(
                "add", str(source), "--name", _SECOND_PIN_NAME, "--allocs", victim_id, "--yes",
                by="carol", at=self._source,
            )
        )  # fmt: skip
        helper = self._another(self._source, victim)
        digest, cid = str(proposal["proposal"]), str(proposal["cid"])
        outcome = last(run("pin", "approve", digest[:16], "--yes", by="alice", at=helper))
        _require(outcome["code"] == "committed", f"with a peer dead: {outcome['code']}")
        self.report.survived_kill = True
        tell(f"committed at number {outcome['seq']}, with 3 of 4 peers alive.")
        if self.report.killed_primary:
            tell(f"{self._primary(at=helper).name} is the primary now.")
        self.cluster.wait_for(
            "replicating", helper, lambda: _is_held_by_the_living(self._progress(helper, cid))
        )
        tell(_without_cid(self._progress(helper, cid)))
        return cid

    def _catch_up(self, victim: PeerProcess, second: str) -> None:
        run, tell, wait_for = self.cluster.run, self.cluster.narrator.tell, self.cluster.wait_for
        target = int(self.cluster.status(self._source)["last_executed"])
        self.cluster.narrator.show_command(["peer", "run", victim.name])
        victim.start()
        wait_for(
            "catching up",
            victim,
            lambda: int(self.cluster.status(victim)["last_executed"]) >= target,
        )
        tell(f"{victim.name} has executed everything up to number {target}.")
        run("pin", "status", second, "--wait", at=victim)
        wait_for("connecting", victim, lambda: is_ready(self.cluster, victim))
        tell(_without_cid(self._progress(victim, second)))
        self.report.caught_up = True

    def _read_back(self, pin: PinProgress, victim: PeerProcess) -> None:
        holders = {holder.name for holder in pin.holders}
        readers = [peer for peer in self.cluster.peers if peer.name in holders - {victim.name}]
        reader = next(peer for peer in readers if peer is not self._source)
        target = self.cluster.directory / "read back"
        self.cluster.run("get", self.report.cid, "--output", str(target), at=reader)
        difference = content.first_difference(self.source, target)
        _require(not difference, f"what {reader.name} returns is not what was added: {difference}")
        self.report.content_identical = True
        size = size_text(self.report.size_bytes)
        self.cluster.narrator.tell(f"{size} from {reader.name}, the same byte for byte.")

    @property
    def _source(self) -> PeerProcess:
        """Where the files are brought to: not the first primary, which is killed later."""
        return self.cluster.peers[1]

    def _another(self, *peers: PeerProcess) -> PeerProcess:
        return next(peer for peer in self.cluster.peers if all(peer is not each for each in peers))

    def _primary(self, at: PeerProcess | None = None) -> PeerProcess:
        primary = self.cluster.status(at or self._source).get("primary")
        names = {str(self.cluster.status(peer)["peer"]): peer for peer in self.cluster.alive}
        return names[str(primary)]

    def _progress(self, peer: PeerProcess, cid: str) -> PinProgress:
        with self.cluster.client(peer) as client:
            progress = pin_progress(client, cid)
        if progress is None:
            raise PeerFailedError(f"{peer.name} does not know the pin", peer)
        return progress


def _is_held_by_the_living(pin: PinProgress) -> bool:
    return all(holder.is_down for holder in pin.behind)


def _without_cid(pin: PinProgress) -> str:
    return pin.line.replace(f"{pin.cid}  ", "")


def _require(is_kept: bool, complaint: str) -> None:
    if not is_kept:
        raise StoryFailedError(complaint)
