"""Plays a conversation of replicas from commands, and writes down what was said."""

import re
from dataclasses import replace

from bftcluster import codec
from bftcluster.ids import Digest
from bftcluster.pbft import Batch
from bftcluster.pbft.frames import parse_frame
from bftcluster.pbft.log import NULL_DIGEST, batch_digest
from bftcluster.pbft.view_messages import NewView, ViewChange
from bftcluster.pbft.votes import Vote
from bftcluster_sim.cluster.adversary.usurpers import Pretext, Usurper
from bftcluster_sim.cluster.cluster import CLUSTER_ID, SMALL_WINDOW, SimulatedCluster
from bftcluster_sim.cluster.environment.signatures import SimSigner
from bftcluster_sim.cluster.hosts import MEMBERS

KINDS = {
    "pre-prepare": 1,
    "prepare": 2,
    "commit": 3,
    "checkpoint": 4,
    "view-change": 5,
    "new-view": 6,
    "body": 10,
    "requests": 11,
    "entries": 15,
}
OTHER = batch_digest(Batch(1_000, (b"other",)).to_bytes())
"""A batch that nobody has."""
REFUSED = re.compile("bad-(view-change|new-view) .* .*")
"""With a reason, and not only with the kind of frame."""
SETTINGS = replace(SMALL_WINDOW, request_timeout_ms=400, view_change_timeout_ms=1_000)


class Stage:
    """A cluster whose talk is heard. Time starts when the replicas may vote."""

    def __init__(self) -> None:
        self._cluster = SimulatedCluster(4, settings=SETTINGS)
        self._cluster.start()
        self._cluster.run(10)
        self._begin_ms = self._cluster.clock.now_ms
        self._said: list[tuple[int, bytes]] = []
        """Every frame that any host ever sent, with its index."""
        self._names: dict[Digest, str] = {NULL_DIGEST: "null"}
        self._cuts: list[tuple[set[int], set[int], set[int], set[int]]] = []
        self._cluster.network.sent.clear()
        self._cluster.network.cut = self._is_cut

    def obey(self, line: str) -> str:
        """Carry out one command and return what to write down."""
        command, *words = line.split()
        options = dict(word.split("=", 1) for word in words)
        match command:
            case "submit":
                self._cluster.submit(options["request"].encode(), to=int(options["to"]))
            case "run":
                self._cluster.run(int(options["ms"]))
            case "stop":
                self._cluster.hosts[int(options["host"])].stop()
            case "start":
                self._cluster.hosts[int(options["host"])].start()
            case "cut":
                self._cuts.append(
                    (
                        self._hosts(options.get("from", "0,1,2,3")),
                        self._hosts(options.get("to", "0,1,2,3")),
                        {KINDS[kind] for kind in options.get("kind", "").split(",") if kind},
                        {int(seq) for seq in options.get("seq", "").split(",") if seq},
                    )
                )
            case "replay":
                self._replay(int(options["from"]), int(options["to"]), KINDS[options["kind"]])
            case "usurp":
                return self._usurp(
                    int(options["from"]), self._hosts(options["to"]), options["pretext"]
                )
            case "refusals":
                return self._refusals()
            case "members":
                members = MEMBERS + bytes(map(int, options["hosts"].split(",")))
                self._cluster.submit(members, to=int(options["to"]))
            case "heal":
                self._cuts.clear()
            case "where":
                return self._where()
            case _:
                raise ValueError(f"unknown command {command!r}")
        return self._heard()

    def _replay(self, source: int, target: int, kind: int) -> None:
        """Have ``source`` say again to ``target`` the first it ever said of that kind."""
        said = (f for index, f in self._said if index == source and codec.decode(f)[0] == kind)
        self._cluster.hosts[target].receive(self._cluster.hosts[source].me, next(said))

    def _usurp(self, source: int, targets: set[int], pretext: str) -> str:
        """Have ``source`` tell ``targets`` of another past in the last view it opened."""
        host = self._cluster.hosts[source]
        said = [f for index, f in self._said if index == source]
        opened = next(f for f in reversed(said) if codec.decode(f)[0] == KINDS["new-view"])
        new_view = parse_frame(host.me, opened)
        assert isinstance(new_view, NewView)
        usurper = Usurper(signer=SimSigner(host.me), cluster_id=CLUSTER_ID)
        lies = usurper.usurp(new_view, Pretext[pretext.upper()], OTHER)
        for lie in lies:
            for target in sorted(targets):
                self._cluster.hosts[target].receive(host.me, lie)
        return "\n".join(f"told: {self._words(source, lie)}" for lie in lies)

    def _refusals(self) -> str:
        """Return which words of view changes were refused since it was asked last, and why."""
        lines = []
        for host in self._cluster.hosts:
            lines += [f"{host.index}: {r}" for r in host.reports if REFUSED.match(r)]
            host.reports.clear()
        return "\n".join(lines)

    @staticmethod
    def _hosts(text: str) -> set[int]:
        return {int(index) for index in text.split(",")}

    def _is_cut(self, source: int, target: int, frame: bytes) -> bool:
        kind, *rest = codec.decode(frame)
        seq = rest[2] if kind <= 4 else None
        return any(
            source in sources
            and target in targets
            and (not kinds or kind in kinds)
            and (not seqs or seq in seqs)
            for sources, targets, kinds, seqs in self._cuts
        )

    def _heard(self) -> str:
        """Return one line per frame and instant: time, sender, receivers, words."""
        lines: dict[tuple[int, int, str], list[str]] = {}
        for at_ms, source, target, frame in self._cluster.network.sent:
            self._said.append((source, frame))
            words = self._words(source, frame)
            if words:
                mark = "!" if self._is_cut(source, target, frame) else ""
                key = (at_ms - self._begin_ms, source, words)
                lines.setdefault(key, []).append(f"{target}{mark}")
        self._cluster.network.sent.clear()
        said = [
            f"{at_ms:>5} {source}->{','.join(targets)} {words}"
            for (at_ms, source, words), targets in lines.items()
        ]
        return "\n".join(said) or "silence"

    def _words(self, source: int, frame: bytes) -> str:
        message = parse_frame(self._cluster.hosts[source].me, frame)
        match message:
            case Vote():
                kind = message.kind.name.lower().replace("_", "-")
                return f"{kind} v{message.view} s{message.seq} {self._name(message.digest)}"
            case ViewChange():
                claims = [
                    f"s{c.seq}:{self._name(c.digest)}@v{c.view}{'*' if c.is_committed else ''}"
                    for c in message.claims
                ]
                return " ".join([f"view-change v{message.view} stable={message.stable}", *claims])
            case NewView():
                choices = [
                    f"s{c.seq}:{self._name(c.digest)}{'*' if c.is_committed else ''}"
                    for c in message.choices
                ]
                return " ".join([f"new-view v{message.view} stable={message.stable}", *choices])
            case _:
                return ""

    def _name(self, digest: Digest) -> str:
        """Return a letter for each digest, in order of appearance."""
        return self._names.setdefault(digest, chr(ord("a") + len(self._names) - 1))

    def _where(self) -> str:
        lines = []
        for host in self._cluster.hosts:
            if not host.is_up:
                lines.append(f"{host.index}: down")
                continue
            replica = host.replica
            mode = "" if replica.is_active else " changing"
            requests = " ".join(
                "members" if request.startswith(MEMBERS) else request.decode()
                for request in host.requests
            )
            epoch = f"e{replica.membership.epoch} " if replica.membership.epoch else ""
            place = f"v{replica.view}{mode} s{replica.last_executed} stable={replica.stable}"
            place = epoch + place
            lines.append(f"{host.index}: {place} [{requests}]")
        return "\n".join(lines)
