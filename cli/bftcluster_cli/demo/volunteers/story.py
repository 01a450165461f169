"""The story: a crowd lends room, some of it lies, and everything is still there in the end."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

from bftcluster.errors import ClusterError, NotReachedError
from bftcluster.reputation.terms import DAY_DEFAULT_MS
from bftcluster_cli.client import Record
from bftcluster_cli.clusters import read_genesis
from bftcluster_cli.demo.cluster import DemoCluster, descriptor, set_up
from bftcluster_cli.demo.ports import free_ports
from bftcluster_cli.demo.processes import PeerProcess, stop_all
from bftcluster_cli.demo.volunteers import measures
from bftcluster_cli.demo.volunteers.crowd import (
    Role,
    Volunteer,
    come_light,
    invite,
    lend,
    members_by_name,
    new_crowd,
)
from bftcluster_cli.demo.volunteers.library import Library
from bftcluster_cli.demo.volunteers.maintainers import Desk
from bftcluster_cli.demo.volunteers.misdeeds import Deletion, Flapping
from bftcluster_cli.demo.volunteers.report import Conviction, VolunteersReport
from bftcluster_cli.descriptors import parse_descriptor
from bftcluster_cli.output import plural

RELAYS: Final = 2
_TRACKS: Final = ("score", "answered", "availability", "windows")
MISDEEDS: Final = {
    Role.LIES: "reports what it does not hold",
    Role.DELETES: "deletes blocks and goes on reporting them",
    Role.FLAPS: "comes and goes",
    Role.EQUIVOCATES: "votes twice for one place",
}
PERIOD: Final = "10s"
DAY: Final = "20s"
"""Half a day is a period: what availability is counted in."""
_FILES_AT_FIRST: Final = 80
_FILE_EVERY_S: Final = 4.0
_LOOK_S: Final = 0.5
_AWAY_S: Final = 15.0
_JOIN_S: Final = 180.0
_FOUND_S: Final = 240.0
"""Of audits, that the first beacon comes takes two minutes; fourteen half days are as long."""


class OverdueError(ClusterError):
    """The cluster did not do in time what it must."""


@dataclass(slots=True, kw_only=True)
class VolunteersStory:
    """One telling."""

    cluster: DemoCluster
    """Its replicas."""
    relays: tuple[PeerProcess, ...]
    crowd: list[Volunteer]
    library: Library
    desk: Desk
    report: VolunteersReport
    _deletion: Deletion = field(init=False)
    _flapping: Flapping = field(init=False)
    _next_file_s: float = float("inf")
    _began_s: dict[str, float] = field(default_factory=dict)
    """When each misdeed began, by the name of who does it."""

    is_brief: bool = False

    @classmethod
    def new(cls, cluster: DemoCluster, volunteers: int, *, is_brief: bool) -> Self:
        """Return a story of which nothing has happened yet."""
        ports = free_ports(2 * RELAYS)
        relays = tuple(
            PeerProcess(
                f"relay{i + 1}", cluster.directory / f"relay{i + 1}", ports[2 * i], ports[2 * i + 1]
            )
            for i in range(RELAYS)
        )
        crowd = new_crowd(cluster.directory, volunteers)
        desk = Desk(cluster=cluster)
        files = cluster.directory / "files"
        misdeeds = {Role.EQUIVOCATES: MISDEEDS[Role.EQUIVOCATES]} if is_brief else MISDEEDS
        return cls(
            cluster=cluster,
            relays=relays,
            crowd=crowd,
            library=Library(cluster=cluster, desk=desk, directory=files),
            desk=desk,
            report=VolunteersReport(
                replicas=len(cluster.peers),
                relays=RELAYS,
                volunteers=volunteers,
                light=sum(each.is_light for each in crowd),
                quota_ratio=max(each.quota_bytes for each in crowd)
                // min(each.quota_bytes for each in crowd),
                liars=[
                    Conviction(name=each.name, misdeed=misdeeds[each.role])
                    for each in crowd
                    if each.role in misdeeds
                ],
            ),
            is_brief=is_brief,
        )

    @property
    def everybody(self) -> list[PeerProcess]:
        """All processes there may be."""
        return [*self.cluster.peers, *self.relays, *(each.peer for each in self.crowd)]

    def __post_init__(self) -> None:
        self._deletion = Deletion(volunteer=self._one(Role.DELETES))
        self._flapping = Flapping(volunteer=self._one(Role.FLAPS))

    def tell(self) -> None:
        """Go from nothing to a cluster that has thrown out its liars, filling in the report.

        Raises:
            ClusterError: Something went wrong, and what.
        """
        chapter = self.cluster.narrator.chapter
        with chapter("set_up", "Four replicas and two relays start."):
            self._set_up()
        with chapter("join", f"{plural(len(self.crowd), 'volunteer')} come in."):
            self._come_in()
        with chapter("pin", f"{_FILES_AT_FIRST} files are pinned, and more all the time."):
            self._pin()
        if not self.is_brief:
            with chapter("misdeeds", "One lies, one deletes, one comes and goes."):
                self._begin_misdeeds()
        with chapter("replicate", "Every pin gets its copies."):
            self._until("replicating", lambda: not self._short())
        with chapter("drop_out", "A quarter of all drop out at once, and come back."):
            self._drop_out()
        with chapter("leave", "One leaves, and hands over first."):
            self._leave()
        with chapter("equivocation", "One is given a vote, and votes twice."):
            self._equivocate()
        if not self.is_brief:
            with chapter("found", "The others are found out."):
                self._find()
        with chapter("repair", "What they should have held is copied elsewhere."):
            self._repair()
        with chapter("read_back", "Every file is read back, and every disk is looked at."):
            self._read_back()

    def _set_up(self) -> None:
        tell = self.cluster.narrator.tell
        set_up(
            self.cluster, "--period", PERIOD, "--day", DAY, "--checkpoint-interval", "16",
            capacity="0B",
        )  # fmt: skip
        genesis = read_genesis(self.cluster.genesis)
        self.report.time_scale = DAY_DEFAULT_MS / genesis.day_ms
        self.report.day_s, self.report.period_s = genesis.day_ms / 1000, genesis.period_ms / 1000
        for peer in self.cluster.peers:
            peer.start()
        self._until("starting", self._all_joined, [each.name for each in self.cluster.peers])
        options = ["--genesis", str(self.cluster.genesis)]
        for peer in self.cluster.peers:
            options += ["--bootstrap", descriptor(peer, "")]
        for relay in self.relays:
            self.cluster.run(
                "peer", "init", str(relay.directory), "--name", relay.name, "--listen",
                relay.listen, "--api", f"127.0.0.1:{relay.api_port}", "--relay", *options,
                shown=False,
            )  # fmt: skip
            line = parse_descriptor(descriptor(relay, "0B"))
            self.desk.decide(line.admission(votes=False), at=self._first)
            relay.start()
        self._until("starting", self._all_joined, [each.name for each in self.relays])
        tell(f"One second here is {self.report.time_scale:.0f} elsewhere: a day has {DAY}.")

    def _come_in(self) -> None:
        invited = 0
        for is_light in (False, True):
            guests = [e for e in self.crowd if e.is_invited and e.is_light == is_light]
            word = invite(self.cluster, self._first, guests) if guests else ""
            for each in guests:
                lend(self.cluster, each, word)
            invited += len(guests)
        for each in self.crowd:
            if not each.is_invited:
                come_light(self.cluster, self.desk, each, self.relays)
        self._until("coming in", self._all_joined, [each.name for each in self.crowd])
        known = members_by_name(self.cluster, self._first)
        for each in self.crowd:
            each.id = str(known[each.name]["id"])
        self.cluster.narrator.tell(
            f"{invited} came by an invitation for each kind, and {len(self.crowd) - invited} that "
            f"lend less were admitted by name; {self.report.light} are light."
        )

    def _pin(self) -> None:
        self.library.add(_FILES_AT_FIRST, at=self._first)
        with self.cluster.client(self._first) as client:
            pins, known = client.lines("/allocations"), client.list("/members")
            error = measures.share_ratio_error(pins, known, self.crowd)
        self.report.share_ratio_error = round(error, 4)
        self._next_file_s = time.monotonic()

    def _drop_out(self) -> None:
        honest = [each for each in self.crowd if each.role is Role.HONEST and each.is_light]
        gone = honest[: max(1, len(self.crowd) // 4)]
        for each in gone:
            each.peer.kill()
        self.cluster.narrator.tell(f"{', '.join(each.name for each in gone)} are dead.")
        self._wait(_AWAY_S)
        for each in gone:
            each.peer.start()
        self.report.dropped_out = len(gone)
        since = self._heard(gone)
        self._until("coming back", lambda: self._are_heard(gone, since))
        self.cluster.narrator.tell("All of them are heard again.")

    def _begin_misdeeds(self) -> None:
        tell, liar = self.cluster.narrator.tell, self._one(Role.LIES)
        stop_all([liar.peer])
        liar.peer.module = "bftcluster_cli.demo.volunteers.liar"
        liar.peer.words = (str(liar.peer.directory),)
        for path in (liar.peer.directory / "blocks").rglob("*.data"):
            path.unlink()
        liar.peer.start()
        tell(f"{liar.name} holds nothing, and says it holds all.")
        self._deletion.is_on = True
        tell(f"{self._deletion.volunteer.name} deletes what it is given.")
        self._flapping.is_on = True
        tell(f"{self._flapping.volunteer.name} comes and goes.")
        for role in (Role.LIES, Role.DELETES, Role.FLAPS):
            self._began_s[self._one(role).name] = time.monotonic()

    def _leave(self) -> None:
        leaver = self._one(Role.LEAVES)
        self.cluster.run("lend", "leave", "--dir", str(leaver.peer.directory))
        self._until(
            "leaving", lambda: leaver.name not in members_by_name(self.cluster, self._first)
        )
        self._until("ending", lambda: self._has_ended(leaver))
        self.report.left = True
        self.cluster.narrator.tell(f"{leaver.name} has handed over, and left.")

    def _equivocate(self) -> None:
        tell, one = self.cluster.narrator.tell, self._one(Role.EQUIVOCATES)
        line = f"{one.name}={one.id}@{one.peer.listen};capacity={one.quota_bytes}B"
        if not self.is_brief:
            self._until("a beacon", self._has_beacon, timeout_s=_FOUND_S)
        admission = parse_descriptor(line).with_choice(quota_class="volunteer")
        self.desk.decide(admission.admission(votes=True), at=self._first)
        self._until("voting", lambda: bool(self._member(one).get("votes")))
        tell(f"{one.name} votes: five replicas tolerate one that lies, as four do.")
        stop_all([one.peer])
        ids = members_by_name(self.cluster, self._first)
        one.peer.module = "bftcluster_cli.demo.volunteers.equivocator"
        one.peer.words = (
            str(one.peer.directory), self._first.api,
            *(f"{ids[each.name]['id']}={each.listen}" for each in self.cluster.peers),
        )  # fmt: skip
        self._began_s[one.name] = time.monotonic()
        one.peer.start()
        self._until("accusing", lambda: bool(self._member(one).get("contradicted_itself")))
        self._note(one)
        stop_all([one.peer])

    def _find(self) -> None:
        for role, standing in (
            (Role.LIES, "evicted"), (Role.DELETES, "evicted"), (Role.FLAPS, "suspended"),
        ):  # fmt: skip
            one = self._one(role)
            self._until(f"finding {one.name}", self._is, one, standing, timeout_s=_FOUND_S)
            self._note(one)

    def _repair(self) -> None:
        self._next_file_s = float("inf")
        self._deletion.is_on = self._flapping.is_on = False
        self._until("repairing", lambda: not self._short(), timeout_s=_FOUND_S)

    def _read_back(self) -> None:
        report, at = self.report, self.cluster.peers[-1]
        report.files = len(self.library.digests)
        report.lost = len(self.library.lost(at=at))
        report.bytes_over_quota = measures.bytes_over_quota(self.crowd)
        report.under_replicated = len(self._short())
        report.honest_suspended = len(measures.honest_out(self.cluster, at, self.crowd))
        report.evicted = sum(self._standing(each) == "evicted" for each in self.crowd)

    @property
    def _first(self) -> PeerProcess:
        return self.cluster.peers[0]

    def _one(self, role: Role) -> Volunteer:
        return next(each for each in self.crowd if each.role is role)

    def _member(self, volunteer: Volunteer) -> Record:
        return members_by_name(self.cluster, self._first).get(volunteer.name, {})

    def _standing(self, volunteer: Volunteer) -> str:
        return str(measures.standing_of(self.cluster, self._first, volunteer)["standing"])

    def _is(self, volunteer: Volunteer, standing: str) -> bool:
        return self._standing(volunteer) == standing

    def _all_joined(self, names: list[str] | None = None) -> bool:
        known = members_by_name(self.cluster, self._first)
        return all(known.get(name, {}).get("joined") for name in names or known)

    def _short(self) -> list[str]:
        with self.cluster.client(self._first) as client:
            return measures.under_replicated(client.lines("/pins"), client.list("/members"))

    def _has_beacon(self) -> bool:
        beacon = self.cluster.status(self._first).get("beacon") or {}
        return beacon.get("period") is not None

    def _heard(self, volunteers: list[Volunteer]) -> dict[str, str]:
        known = members_by_name(self.cluster, self._first)
        return {each.name: str(known[each.name]["last_seen"]) for each in volunteers}

    def _are_heard(self, volunteers: list[Volunteer], since: dict[str, str]) -> bool:
        now = self._heard(volunteers)
        return all(now[name] > since[name] for name in since)

    def _has_ended(self, volunteer: Volunteer) -> bool:
        process = volunteer.peer.process
        if process is None or process.poll() is not None:
            volunteer.peer.process = None
            return True
        return False

    def _note(self, one: Volunteer) -> None:
        """Take down how somebody was found, from what the ledger keeps."""
        finding = next(each for each in self.report.liars if each.name == one.name)
        record = measures.standing_of(self.cluster, self._first, one)
        evidence: dict[str, object] = {"cause_evidence": record.get("cause_evidence")}
        if record.get("evidence"):
            evidence["proof"] = record["evidence"]
        with self.cluster.client(self._first) as client:
            evidence |= measures.audit_evidence(client, one)
        evidence |= {key: record.get(key) for key in _TRACKS}
        finding.standing, finding.found_by = str(record["standing"]), str(record["cause"])
        finding.evidence = evidence
        finding.seconds = round(time.monotonic() - self._began_s[one.name], 1)
        self.cluster.narrator.tell(
            f"{one.name} {finding.misdeed}: {finding.standing} ({finding.found_by}) "
            f"after {finding.seconds:.0f} s."
        )

    def _wait(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self._step()
            time.sleep(_LOOK_S)  # peers stay dead so long; files and misdeeds go on between

    def _until(
        self, what: str, is_done: Callable[..., bool], *args: object, timeout_s: float = _JOIN_S
    ) -> None:
        """Go on with all misdeeds and files until something is so.

        Raises:
            OverdueError: It takes too long.
        """
        end_s = time.monotonic() + timeout_s
        while True:
            self._step()
            try:
                if is_done(*args):
                    return
            except NotReachedError:
                pass  # it may still be starting
            if time.monotonic() > end_s:
                raise OverdueError(f"{what} took more than {timeout_s:.0f} s")
            time.sleep(_LOOK_S)  # between two questions; `is_done` or `end_s` ends the wait

    def _step(self) -> None:
        for peer in (*self.cluster.peers, *self.relays):
            if peer.process is not None:
                peer.check()
        self._deletion.step()
        self._flapping.step()
        if time.monotonic() >= self._next_file_s:
            self._next_file_s = time.monotonic() + _FILE_EVERY_S
            self.library.add(1, at=self._first)
