"""From a seed to a plan: how many peers, who is faulty and how, and which faults there are at all.

Swarm testing (Groce et al., ISSTA'12): each seed switches off a random half of the kinds of fault,
because a fault that is always there hides what happens without it.
"""

from dataclasses import dataclass, replace
from enum import Enum
from random import Random

from bftcluster_sim.cluster.adversary.behaviours import Vice

_SPARES = 2
_SCHEME_MS = 4_000
"""Leaves a schemer the time to become primary."""


class Fault(Enum):
    """A kind of trouble, besides the vices."""

    LOSS = "frames are lost"
    DUPLICATES = "frames arrive twice"
    DELAY = "frames are overtaken by others"
    LATE = "some frames take ten times as long"
    PARTITION = "groups that cannot talk to each other"
    ASYMMETRY = "links that work one way"
    CLOG = "links that hold everything back, and then let it out at once"
    DEAF = "one kind of frame never reaches a peer"
    LONE = "one peer alone gets the commits that decide, and is cut off then"
    MUTE = "a primary proposes nothing and the next is cut off: who loses its views sits out"
    CRASH = "processes are killed between two events"
    CRASH_INSIDE = "processes are killed between two effects"
    TORN = "unsynced bytes are torn rather than lost"
    DISK_ERROR = "a write or an fsync fails"
    DISK_FULL = "a disk is full for a while"
    SKEW = "wall clocks are wrong, and jump"
    DRIFT = "timers run fast and slow"
    MEMBERS = "peers join, leave, and come back"
    PAUSE = "processes stand still for a while"
    CONTENT = "contents are fetched and reported; they are late, missing, or do not fit"
    PRUNE = "logs are cut short: who lags has to fetch the state"
    SLEEP = "one sleeps while all others are replaced, and old keys lie to it when it wakes"
    AUDIT = "members make beacons, holders are audited, and who fails is evicted"


class Ruin(Enum):
    """What makes a peer one of the f that count as faulty."""

    VICES = "its words are changed on the way"
    TWIN = "two processes run with its key"
    BAD_DISK = "its disk loses what it had promised to keep"
    DEAD = "it never runs again after its first crash"
    SCHEMER = "it has one other decide alone, and opens the next view as if nothing had been"
    HASTY = "its timers run ten times too fast, or far too slow"
    WIPED = "its disk is emptied, or an old copy put back: it must recover, and counts until then"
    CHEAT = "it lies in audits or about its blocks, and may withhold or forge parts of beacons"


_RARE: dict[Fault, float] = {
    Fault.MEMBERS: 0.3,
    Fault.CONTENT: 0.3,
    Fault.MUTE: 0.2,
    Fault.PRUNE: 0.4,
}
"""What takes long to simulate, and how many seeds have it."""
_SLEEPING = 0.06
"""How many seeds have a succession."""
_CALM = {Fault.MEMBERS, Fault.DRIFT, Fault.MUTE}
"""What a succession does without: changes of its own, and clocks that are set while it lasts."""
_AUDITED = 0.02
"""How many seeds have audits."""
_AUDITED_MS = 45_000
"""Four periods: a deleter is found from the second on, and evicted when the next one begins."""
_CHEATS = 0.8
"""How many of the faulty cheat, where there are audits."""
_KEPT_SEQS = (0, 4, 8)
_STOPPING = 0.08
"""How many seeds empty more disks than f."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """Everything that ``swarm.run`` does, but for draws on the way."""

    seed: int
    n: int
    """Founders."""
    faults: frozenset[Fault]
    ruins: tuple[tuple[int, Ruin, frozenset[Vice]], ...]
    """Key number, what is wrong with it, and how."""
    chaos_ms: int
    requests: int
    log_kept_seqs: int = 0
    """How much of the log is left before a stable checkpoint, where ``Fault.PRUNE`` is on."""
    is_beyond_f: bool = False
    may_stop: bool = False
    """More disks are emptied than the cluster can bear: it may stop, and must not fork."""

    @property
    def spares(self) -> int:
        """Peers that may join; their key numbers follow those of the founders."""
        if Fault.SLEEP in self.faults:
            return self.n - 1
        return _SPARES if Fault.MEMBERS in self.faults else 0

    @property
    def name(self) -> str:
        """What names the run, as the command line has it."""
        return f"seed {self.seed}{' --faults f+1' if self.is_beyond_f else ''}"

    def describe(self) -> str:
        """Return one line for people."""
        ruins = ", ".join(
            f"{key} {ruin.name} {sorted(v.name for v in vices)}" for key, ruin, vices in self.ruins
        )
        faults = " ".join(sorted(fault.name for fault in self.faults))
        return f"seed {self.seed} n={self.n} faults: {faults or '-'}; faulty: {ruins or '-'}"


def plan_of(seed: int, *, is_beyond_f: bool = False) -> RunPlan:
    """Return what ``seed`` stands for.

    Args:
        seed: Any number.
        is_beyond_f: Ruin one replica more than the cluster can bear.
    """
    random = Random(f"plan {seed}")  # noqa: S311 - a simulation, not a secret
    n = random.choice((4, 4, 4, 4, 4, 4, 5, 6, 7))
    f = (n - 1) // 3
    common: list[Fault] = [
        fault for fault in Fault if fault not in {*_RARE, Fault.SLEEP, Fault.AUDIT}
    ]
    faults: frozenset[Fault] = frozenset(random.sample(common, len(common) // 2))
    faults |= {fault for fault, rate in _RARE.items() if random.random() < rate}
    if is_beyond_f:
        faults -= {Fault.MEMBERS}  # Who is to blame depends on who voted: forks would name two.
    spares = _SPARES if Fault.MEMBERS in faults else 0
    is_hard_to_fetch = Fault.PRUNE in faults and not is_beyond_f and random.random() < 0.5
    unused = {Ruin.CHEAT, *({Ruin.WIPED} if is_beyond_f else ())}
    allowed = random.sample([ruin for ruin in Ruin if ruin not in unused], 2)
    count = f + is_beyond_f if is_beyond_f or is_hard_to_fetch else random.randint(0, f)
    keys = random.sample(range(n + spares), count)
    if is_beyond_f and random.random() < 0.7:
        allowed = [Ruin.TWIN]
    elif is_hard_to_fetch:
        allowed = [Ruin.VICES, Ruin.WIPED]
    always = frozenset({Vice.MISGIVE} if is_hard_to_fetch else ())
    ruins = tuple(_ruin(random, key, random.choice(allowed), always) for key in sorted(keys))
    # Of its own, so that no other seed means another thing than before.
    emptying = Random(f"disks {seed}")  # noqa: S311 - a simulation, not a secret
    may_stop = not is_beyond_f and emptying.random() < _STOPPING
    if may_stop:
        emptied = sorted(emptying.sample(range(n), emptying.randint(f + 1, n - 1)))
        ruins = tuple((key, Ruin.WIPED, frozenset[Vice]()) for key in emptied)
    is_scheme = any(ruin is Ruin.SCHEMER for _, ruin, _ in ruins)
    plan = RunPlan(
        seed=seed,
        n=n,
        faults=faults,
        ruins=ruins,
        chaos_ms=max(random.choice((1_000, 2_000, 4_000)), _SCHEME_MS if is_scheme else 0),
        requests=random.randint(3, 12) * (2 if Fault.PRUNE in faults else 1),
        log_kept_seqs=random.choice(_KEPT_SEQS),
        is_beyond_f=is_beyond_f,
        may_stop=may_stop,
    )
    return plan if is_beyond_f or may_stop else _with_audits(_with_sleeper(plan))


def _with_sleeper(plan: RunPlan) -> RunPlan:
    """Return the plan with a succession, if its seed has one: at most a successor is faulty."""
    random = Random(f"sleeper {plan.seed}")  # noqa: S311 - a simulation, not a secret
    if random.random() >= _SLEEPING:
        return plan
    faults = plan.faults - _CALM | {Fault.SLEEP}
    ruins: tuple[tuple[int, Ruin, frozenset[Vice]], ...] = ()
    if random.random() < 0.5:
        always = frozenset({Vice.MISGIVE})
        ruins = (_ruin(random, random.randrange(plan.n, 2 * plan.n - 1), Ruin.VICES, always),)
    return replace(plan, faults=faults, ruins=ruins)


def _with_audits(plan: RunPlan) -> RunPlan:
    """Return the plan with beacons and audits, if its seed has them: most of the faulty cheat."""
    random = Random(f"audits {plan.seed}")  # noqa: S311 - a simulation, not a secret
    if random.random() >= _AUDITED or Fault.SLEEP in plan.faults:
        return plan
    kept = [ruin for ruin in plan.ruins if ruin[0] < plan.n and random.random() >= _CHEATS]
    left = [key for key in range(plan.n) if key not in {ruin[0] for ruin in kept}]
    cheats = random.sample(left, (plan.n - 1) // 3 - len(kept))
    ruins = [*kept, *((key, Ruin.CHEAT, frozenset[Vice]()) for key in cheats)]
    return replace(
        plan,
        faults=plan.faults - {Fault.MEMBERS} | {Fault.CONTENT, Fault.AUDIT},
        ruins=tuple(sorted(ruins, key=lambda ruin: ruin[0])),
        chaos_ms=_AUDITED_MS,
        requests=2 * plan.requests,
    )


def _ruin(
    random: Random, key: int, ruin: Ruin, always: frozenset[Vice]
) -> tuple[int, Ruin, frozenset[Vice]]:
    vices: frozenset[Vice] = frozenset()
    if ruin is Ruin.VICES:
        vices = always | frozenset(random.sample(list(Vice), random.randint(1, 3)))
    elif ruin is Ruin.SCHEMER:
        vices = frozenset({Vice.USURP})
    return key, ruin, vices
