"""One run of a plan: chaos first, then a quorum of correct peers is healed, and must get on.

Only a quorum is healed, as in TigerBeetle's VOPR: the other correct peers stay away and the faulty
ones stay faulty, so progress owes nothing to luck.
"""

from dataclasses import dataclass, replace
from enum import Enum

from bftcluster.ids import PeerId, Seq
from bftcluster_sim.cluster.behaviours import Byzantine, Vice, draw_corruption
from bftcluster_sim.cluster.chaos import Chaos
from bftcluster_sim.cluster.disks import Loss
from bftcluster_sim.cluster.links import LinkFaults
from bftcluster_sim.cluster.nodes import Node
from bftcluster_sim.cluster.plans import Fault, Plan, Ruin
from bftcluster_sim.cluster.world import SETTINGS, World

LIVENESS_LIMIT_MS = 90_000
_SLICE_MS = 50
_AFTERMATH_REQUESTS = 3
_CORRUPTIONS_MAX = 6
_HASTY_PERMILLE = (50, 10_000)
_FETCHING = replace(SETTINGS, state_fetch_behind_seqs=SETTINGS.checkpoint_interval_seqs)
"""Where logs are cut short, nobody replays what can be fetched."""


class Verdict(Enum):
    """How a run ended. Never a boolean: stuck and wrong are different things."""

    PASS = "pass"  # noqa: S105 - not a password
    NO_PROGRESS = "no progress"
    DIVERGED = "diverged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run showed."""

    name: str
    """What ``bftcluster sim cluster replay --...`` is to be told, to see it again."""
    verdict: Verdict
    breaches: tuple[str, ...]
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


def run(plan: Plan, *, is_traced: bool = False) -> tuple[Outcome, World]:
    """Carry out ``plan``."""
    return _Run(plan, is_traced=is_traced).go()


def judge(name: str, world: World, *, has_progressed: bool) -> Outcome:
    """Sum up a world whose run has ended."""
    culprits = world.auditor.culprits
    breaches = tuple(world.breaches)
    verdict = Verdict.PASS if has_progressed else Verdict.NO_PROGRESS
    return Outcome(
        name=name,
        verdict=Verdict.DIVERGED if breaches else verdict,
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
    node: Node
    life: int

    def ask_again(self, world: World) -> None:
        """Tell the same peer again, if it has opened again on a fetched state meanwhile."""
        if self.node.life != self.life and self.node.is_up:
            self.life = self.node.life
            world.submit(self.number, to=self.node.index)


class _Run:
    def __init__(self, plan: Plan, *, is_traced: bool) -> None:
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
            is_traced=is_traced,
        )
        self.random = self.world.random
        self.requests = 0
        self.hasty: set[int] = set()
        world = self.world
        for index, key in enumerate(twins, start=len(keys)):
            world.faulty |= {index, key}
        for key, ruin, vices in plan.ruins:
            (world.forgetful if ruin is Ruin.WIPED else world.faulty).add(key)
            if ruin in (Ruin.VICES, Ruin.SCHEMER):
                world.nodes[key].behaviour = self._byzantine(vices)
            elif ruin is Ruin.HASTY:
                self.hasty.add(key)
        self.correct = [node for node in world.nodes if node.is_correct]

    def go(self) -> tuple[Outcome, World]:
        """Chaos, then order."""
        world = self.world
        world.trace.line(self.plan.describe())
        self._set_up()
        for node in world.nodes:
            if not self._is_spare(node):
                node.start()
        self._rage()
        has_progressed = self.plan.is_beyond_f or self._recover()
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
        for node in self.world.nodes:
            if self._has(Fault.SKEW):
                wide_ms = 3_600_000 if not node.is_correct else 10_000
                node.clock.skew_ms = random.randint(-wide_ms, wide_ms)
            if self._has(Fault.DRIFT):
                node.clock.rate_permille = random.randint(900, 1100)
                node.clock.offset_ms = random.randint(0, 1_000_000)
            if node.index in self.hasty:
                node.clock.rate_permille = random.choice(_HASTY_PERMILLE)
            node.loss = random.choice(list(Loss)) if self._has(Fault.TORN) else Loss.ALL

    def _rage(self) -> None:
        """Do something bad every now and then, while clients submit."""
        world, plan, random = self.world, self.plan, self.random
        chaos = Chaos(plan, world)
        is_split = plan.is_beyond_f and random.random() < 0.8
        if is_split:
            self._split_twins()
        submit_each_ms = max(1, plan.chaos_ms // plan.requests)
        next_submit_ms = 20
        while world.clock.now_ms < plan.chaos_ms:
            world.run_until(world.clock.now_ms + random.randint(20, 400))
            while next_submit_ms <= world.clock.now_ms:
                self._submit(world.nodes)
                next_submit_ms += submit_each_ms
            if not is_split:
                chaos.act()

    def _submit(self, nodes: list[Node]) -> "_Asked":
        node = self.random.choice(nodes)
        number = self.requests
        self.requests += 1
        self.world.submit(number, to=node.index)
        return _Asked(number, node, node.life)

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
        world.links.partition(set(range(len(world.nodes))) - away, away)
        world.trace.line(f"healed: {sorted(node.index for node in core)}, away: {sorted(away)}")
        for node in core:
            node.fuse = node.disk.failure = None
            node.resume()
            node.clock.skew_ms = random.randint(-1_000, 1_000)
            node.start()
        voters = [node for node in core if node.key in world.discipline.latest.replicas]
        wanted = [self._submit(voters) for _ in range(_AFTERMATH_REQUESTS)]
        end_ms = world.clock.now_ms + LIVENESS_LIMIT_MS
        while world.clock.now_ms < end_ms:
            world.run_until(world.clock.now_ms + _SLICE_MS)
            members = self._members(core)
            for one in wanted:
                one.ask_again(world)
            if self._is_done(members, [world.founding.request(one.number) for one in wanted]):
                for node in members:
                    world.check_end(node)
                return True
        return False

    def _healed(self) -> list[Node]:
        """Return a quorum of those who can vote; all of them, if nobody can say whose quorum.

        Those whose disks were replaced come on top: they must get on, and are not counted on.
        """
        if self.plan.spares:
            return self.correct
        quorum = self.world.membership.quorum
        wiped = [node for node in self.correct if node.index in self.world.forgetful]
        voting = [node for node in self.correct if node not in wiped]
        return [*self.random.sample(voting, min(quorum, len(voting))), *wiped]

    def _members(self, core: list[Node]) -> list[Node]:
        """Return those who belong to the cluster by now: the others need not get on."""
        if not self.plan.spares:
            return core
        state = max((node.state for node in core), key=lambda state: state.executed)
        return [node for node in core if PeerId(node.key) in state.admitted]

    def _is_done(self, core: list[Node], wanted: list[bytes]) -> bool:
        """Return whether all have executed the same, what was acknowledged, and what was asked."""
        tips = {node.state.executed for node in core}
        acknowledged = max(self.world.durability.acknowledged, default=0)
        return tips == {max(acknowledged, *tips)} and all(
            self.world.has_effect(node, request) for node in core for request in wanted
        )
