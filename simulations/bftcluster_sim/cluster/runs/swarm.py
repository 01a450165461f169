"""One run of a plan: chaos first, then a quorum of correct peers is healed, and must get on.

Only a quorum is healed, as in TigerBeetle's VOPR: the other correct peers stay away and the faulty
ones stay faulty, so progress owes nothing to luck.
"""

from dataclasses import dataclass, replace
from enum import Enum

from bftcluster.ids import PeerId, Seq
from bftcluster.limits import AUDIT_DAY_MIN_MS
from bftcluster_sim.cluster.adversary.audit_lies import AUDIT_LIES
from bftcluster_sim.cluster.adversary.beacon_lies import BEACON_LIES
from bftcluster_sim.cluster.adversary.behaviours import Byzantine, Vice, draw_corruption
from bftcluster_sim.cluster.environment.links import LinkFaults
from bftcluster_sim.cluster.faults.chaos import Chaos
from bftcluster_sim.cluster.faults.plans import Fault, Ruin, RunPlan
from bftcluster_sim.cluster.faults.succession import Succession
from bftcluster_sim.cluster.peers.contents import ContentFaults
from bftcluster_sim.cluster.peers.disks import WriteLoss
from bftcluster_sim.cluster.peers.nodes import Node
from bftcluster_sim.cluster.world import SETTINGS, World

LIVENESS_LIMIT_MS = 90_000
_MAY_STOP_LIMIT_MS = 15_000
"""Where nothing need be decided any more: long enough to decide what is wrong."""
_SLICE_MS = 50
_PACE_MS = 4_000
"""A chaos that lasts longer has as many things happen as one that lasts so long."""
_AFTERMATH_REQUESTS = 3
_CORRUPTIONS_MAX = 6
_HASTY_PERMILLE = (50, 10_000)
_FETCHING = replace(SETTINGS, state_fetch_behind_seqs=SETTINGS.checkpoint_interval_seqs)
"""Where logs are cut short, nobody replays what can be fetched."""


class RunVerdict(Enum):
    """How a run ended. Never a boolean: stuck and wrong are different things."""

    PASS = "pass"  # noqa: S105 - not a password
    NO_PROGRESS = "no progress"
    DIVERGED = "diverged"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """What a run showed."""

    verdict: RunVerdict
    breaches: tuple[str, ...]
    name: str
    """What ``bftcluster sim cluster replay --...`` is to be told, to see it again."""
    culprits: int
    """Members that the auditor proves guilty."""
    weak_quorum: int
    honest_named: int
    """Correct members among them; anything but 0 is a bug of the auditor or of a replica."""
    is_split: bool
    """Two correct peers decided differently."""
    events: int
    duration_ms: int
    """Simulated."""
    digest: str
    """Of the trace."""


def run(plan: RunPlan, *, is_traced: bool = False) -> tuple[RunOutcome, World]:
    """Carry out ``plan``."""
    return _Run(plan, is_traced=is_traced).go()


def judge(name: str, world: World, *, has_progressed: bool) -> RunOutcome:
    """Sum up a world whose run has ended."""
    culprits = world.auditor.culprits
    breaches = tuple(world.breaches)
    verdict = RunVerdict.PASS if has_progressed else RunVerdict.NO_PROGRESS
    return RunOutcome(
        name=name,
        verdict=RunVerdict.DIVERGED if breaches else verdict,
        breaches=breaches,
        culprits=len(culprits),
        weak_quorum=world.discipline.of(world.agreement.split_at or Seq(0)).weak_quorum,
        honest_named=len(culprits & world.honest),
        is_split=bool(world.agreement.breaches),
        events=world.clock.events,
        duration_ms=world.clock.now_ms,
        digest=world.trace.digest(),
    )


@dataclass(slots=True)
class _Asked:
    """What a client wants, and whom it told."""

    number: int
    request: bytes
    node: Node
    life: int

    def ask_again(self, world: World) -> None:
        """Tell the same peer again, if it has opened again on a fetched state meanwhile."""
        if self.node.life != self.life and self.node.is_up:
            self.life = self.node.life
            world.submit(self.number, to=self.node.index)


class _Run:
    def __init__(self, plan: RunPlan, *, is_traced: bool) -> None:
        self.plan = plan
        twins = [key for key, ruin, _ in plan.ruins if ruin is Ruin.TWIN]
        keys = range(plan.n + plan.spares)
        has_pruned_logs = Fault.PRUNE in plan.faults
        self.world = World(
            seed=plan.seed,
            keys=[*keys, *twins],
            n=plan.n,
            settings=_FETCHING if has_pruned_logs else SETTINGS,
            log_kept_seqs=plan.log_kept_seqs if has_pruned_logs else None,
            tracks=Fault.CONTENT in plan.faults,
            deals=Fault.AUDIT in plan.faults,
            audit_day_ms=AUDIT_DAY_MIN_MS if Fault.AUDIT in plan.faults else 0,
            is_traced=is_traced,
        )
        self.random = self.world.random
        self.requests = 0
        self.voters_min = plan.n
        self.hasty: set[int] = set()
        world = self.world
        for index, key in enumerate(twins, start=len(keys)):
            world.faulty |= {index, key}
        for key, ruin, _ in plan.ruins:
            (world.forgetful if ruin is Ruin.WIPED else world.faulty).add(key)
            if ruin is Ruin.HASTY:
                self.hasty.add(key)
            if ruin is Ruin.CHEAT:
                world.audit_lies[key] = self.random.choice(AUDIT_LIES)
                world.beacon_lies[key] = self.random.choice(BEACON_LIES)
        self.succession = Succession(plan, world) if self._has(Fault.SLEEP) else None
        self.correct = [node for node in world.nodes if node.is_correct]

    def go(self) -> tuple[RunOutcome, World]:
        """Chaos, then order."""
        world = self.world
        world.trace.line(self.plan.describe())
        if self.succession is not None and not self.succession.happen():
            return judge(self.plan.name, world, has_progressed=False), world
        for key, ruin, vices in self.plan.ruins:
            if ruin in (Ruin.VICES, Ruin.SCHEMER):
                world.nodes[key].behaviour = self._byzantine(vices)
        self._set_up()
        if self.succession is not None:
            self.succession.wake_later(self.plan.chaos_ms)
        else:
            for node in world.nodes:
                if not self._is_spare(node):
                    node.start()
        self._rage()
        has_progressed = self.plan.is_beyond_f or self._recover() or self.plan.may_stop
        return judge(self.plan.name, world, has_progressed=has_progressed), world

    def _is_spare(self, node: Node) -> bool:
        return self.plan.n <= node.index < self.plan.n + self.plan.spares

    def _byzantine(self, vices: frozenset[Vice]) -> Byzantine:
        count = self.random.randint(1, _CORRUPTIONS_MAX) if Vice.CORRUPT_ROUNDS in vices else 0
        drawn = tuple(draw_corruption(self.random) for _ in range(count))
        return Byzantine(vices, self.random, drawn)

    def _has(self, fault: Fault) -> bool:
        return fault in self.plan.faults

    def _set_up(self) -> None:
        random = self.random
        self.world.links.faults = LinkFaults(
            delay_ms_min=1,
            delay_ms_max=random.choice((5, 20, 100)) if self._has(Fault.DELAY) else 3,
            loss_percent=random.choice((1, 5, 20)) if self._has(Fault.LOSS) else 0,
            duplicate_percent=20 if self._has(Fault.DUPLICATES) else 0,
            late_percent=3 if self._has(Fault.LATE) else 0,
        )
        if self._has(Fault.CONTENT):
            delay_ms_max = random.choice((5, 100, 1_000))
            failure_percent = random.choice((0, 20, 60))
            self.world.contents = ContentFaults(
                delay_ms_max=delay_ms_max, failure_percent=failure_percent
            )
        for node in self.world.nodes:
            if self._has(Fault.SKEW):
                wide_ms = 3_600_000 if not node.is_correct else 10_000
                node.clock.skew_ms = random.randint(-wide_ms, wide_ms)
            if self._has(Fault.DRIFT):
                node.clock.rate_permille = random.randint(900, 1100)
                node.clock.offset_ms = random.randint(0, 1_000_000)
            if node.index in self.hasty:
                node.clock.rate_permille = random.choice(_HASTY_PERMILLE)
            node.loss = random.choice(list(WriteLoss)) if self._has(Fault.TORN) else WriteLoss.ALL

    def _rage(self) -> None:
        """Do something bad every now and then, while clients submit."""
        world, plan, random = self.world, self.plan, self.random
        chaos = Chaos(plan, world, self.succession)
        is_split = plan.is_beyond_f and random.random() < 0.8
        if is_split:
            self._split_twins()
        submit_each_ms = max(1, plan.chaos_ms // plan.requests)
        pace = max(1, plan.chaos_ms // _PACE_MS)
        begun_ms = world.clock.now_ms
        next_submit_ms = begun_ms + 20
        while world.clock.now_ms < begun_ms + plan.chaos_ms:
            world.run_until(world.clock.now_ms + pace * random.randint(20, 400))
            while next_submit_ms <= world.clock.now_ms:
                self._ask()
                next_submit_ms += submit_each_ms
            if not is_split:
                chaos.act()
        self.voters_min = chaos.voters_min

    def _ask(self) -> None:
        """Have a client ask some peer for something."""
        random, world = self.random, self.world
        if not world.tracks or random.random() < 0.6 or not self.requests:
            self._submit(world.nodes)
            return
        to = random.choice(world.nodes).index
        if random.random() < 0.5:
            world.hand_in(
                world.founding.placed_request(self.requests), f"copies of {self.requests}", to=to
            )
            self.requests += 1
        else:
            number = random.randrange(self.requests)
            world.hand_in(world.founding.unpin_request(number), f"unpin {number}", to=to)

    def _submit(self, nodes: list[Node]) -> "_Asked":
        node = self.random.choice(nodes)
        number = self.requests
        self.requests += 1
        self.world.submit(number, to=node.index)
        return _Asked(number, self.world.founding.request(number), node, node.life)

    def _split_twins(self) -> None:
        """Give each half of the correct peers its own copy of every twin: the sure way to fork."""
        world = self.world
        correct = [node.index for node in self.correct]
        self.random.shuffle(correct)
        half = len(correct) // 2
        twins = range(self.plan.n, len(world.nodes))
        first = {*correct[:half], *(node.index for node in world.nodes[: self.plan.n])}
        first -= set(correct[half:])
        world.links.partition(first, {*correct[half:], *twins})

    def _recover(self) -> bool:
        """Heal a quorum of correct peers; return whether it decides and agrees in time."""
        world, random = self.world, self.random
        core = self._healed()
        away = {node.index for node in self.correct} - {node.index for node in core}
        world.links.heal()
        world.links.adversary = None
        world.links.faults = LinkFaults(delay_ms_min=1, delay_ms_max=5, duplicate_percent=1)
        world.contents = ContentFaults()
        world.links.partition(set(range(len(world.nodes))) - away, away)
        world.trace.line(f"healed: {sorted(node.index for node in core)}, away: {sorted(away)}")
        for node in core:
            node.fuse = node.disk.failure = None
            node.blocks.is_full = False
            node.resume()
            node.clock.skew_ms = random.randint(-1_000, 1_000)
            node.start()
        voters = [node for node in core if node.key in world.discipline.latest.replicas]
        wanted = [self._submit(voters) for _ in range(_AFTERMATH_REQUESTS)]
        more = self._more_requests
        members, has_decided = core, False
        limit_ms = _MAY_STOP_LIMIT_MS if self.plan.may_stop else LIVENESS_LIMIT_MS
        end_ms = world.clock.now_ms + limit_ms
        while world.clock.now_ms < end_ms:
            world.run_until(world.clock.now_ms + _SLICE_MS)
            members = self._members(core)
            for one in wanted:
                one.ask_again(world)
            has_decided = self._is_done(members, wanted)
            if has_decided and more:
                more -= 1
                wanted.append(self._submit(voters))
            elif has_decided and all(world.owes_nothing(node) for node in members):
                break
        for node in members if has_decided else ():
            world.check_end(node)
        return has_decided

    @property
    def _more_requests(self) -> int:
        """One after the other: enough for the next epoch, if somebody may have to sit it out."""
        return 2 * self.world.settings.checkpoint_interval_seqs if self._has(Fault.MUTE) else 0

    def _healed(self) -> list[Node]:
        """Return a quorum of those who can vote.

        Where members change, nobody can say whose quorum it has to be. So as many stay away as
        every membership bears that may yet come, the faulty included. Those whose disks were
        replaced are healed in any case: they must get on, and are not counted on.
        """
        wiped = [node for node in self.correct if node.index in self.world.forgetful]
        voting = [node for node in self.correct if node not in wiped]
        count = self.world.membership.quorum
        if self.plan.spares:
            may_be_away = (self.voters_min - 1) // 3 - len(self.plan.ruins)
            count = len(voting) - may_be_away
        return [*self.random.sample(voting, min(count, len(voting))), *wiped]

    def _members(self, core: list[Node]) -> list[Node]:
        """Return those who belong to the cluster by now: the others need not get on."""
        if not self.plan.spares:
            return core
        state = max((node.state for node in core), key=lambda state: state.executed)
        return [node for node in core if PeerId(node.key) in state.admitted]

    def _is_done(self, core: list[Node], wanted: list[_Asked]) -> bool:
        """Return whether all have executed the same, what was acknowledged, and what was asked."""
        tips = {node.state.executed for node in core}
        acknowledged = max(self.world.durability.acknowledged, default=0)
        return tips == {max(acknowledged, *tips)} and all(
            self.world.has_effect(node, one.request) for node in core for one in wanted
        )
