"""A cluster whose members deal keys and make beacons, batch by batch."""

from collections.abc import Callable, Iterable, Sequence

from bftcluster.ids import PeerId
from bftcluster.ledger.rules.batch import Applied
from bftcluster.ledger.rules.effects import FraudProven
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.beacon_state import BeaconState
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.outcomes import Outcome
from bftcluster.ledger.wire.requests import parse_request
from bftcluster.signing.keys import SigningKey
from bftcluster.signing.threshold.library import best_curve
from bftcluster.sync.beacon_duties import BeaconDuties
from bftcluster_sim.cluster.peers.beacon_speech import BeaconLiar, BeaconLie
from tests.unit.ledger.world import PEERS, World, genesis_of

CURVE = best_curve()
INTERVAL = 2
STEP_MS = 10_000


class BeaconWorld(World):
    """Members that do what they owe after every batch, but for those who lie."""

    def __init__(
        self, genesis: Genesis | None = None, members: Sequence[SigningKey] = PEERS[:4]
    ) -> None:
        super().__init__(genesis or genesis_of(checkpoint_interval=INTERVAL))
        self.members = list(members)
        self.lies: dict[SigningKey, BeaconLie] = {}
        self.outcomes: list[Outcome] = []
        """Of everything that members said."""
        self.applied: list[Applied] = []
        self._duties: dict[SigningKey, BeaconDuties] = {}

    @property
    def beacon(self) -> BeaconState:
        return queries.beacon_of(self.store)

    @property
    def period(self) -> int:
        return self.ledger.head.period

    def duties(self, member: SigningKey) -> BeaconDuties:
        if member not in self._duties:
            self._duties[member] = BeaconDuties(
                signer=member,
                seed=member.seed,
                cluster_id=self.genesis.cluster_id,
                curve=CURVE,
            )
        return self._duties[member]

    def forget(self) -> None:
        """As if all members had restarted: nothing is left but their seeds, and the store."""
        self._duties = {}
        self.reopen()

    def register(self, *members: SigningKey) -> None:
        for member in members or self.members:
            request = self.join(member, registration=self.duties(member).registration())
            assert self.do(request).is_accepted

    def owed(self, member: SigningKey) -> list[bytes]:
        return self.duties(member).owed(self.beacon, self.period)

    def said(self) -> list[bytes]:
        """What members say now, of whom some lie."""
        found: list[bytes] = []
        for member in self.members:
            lie, owed = self.lies.get(member), self.owed(member)
            found += owed if lie is None else lie(self.liar(member), self.beacon, owed)
        return found

    def liar(self, member: SigningKey) -> BeaconLiar:
        cluster_id = self.genesis.cluster_id
        return BeaconLiar(signer=member, seed=member.seed, cluster_id=cluster_id, curve=CURVE)

    def exposed(self) -> set[PeerId]:
        effects = (effect for applied in self.applied for effect in applied.effects)
        return {effect.peer for effect in effects if isinstance(effect, FraudProven)}

    def step(self, after_ms: int = STEP_MS) -> Applied:
        """One batch, with whatever members owed before it and is wanted."""
        said = [each for each in self.said() if self.verifier.is_wanted(each)]
        assert all(self.verifier.admissible(each) for each in said)
        applied = self.run(*said, after_ms=after_ms)
        self.outcomes += applied.outcomes
        self.applied.append(applied)
        return applied

    def go_on(self, until: Callable[[], bool], *, after_ms: int = STEP_MS) -> None:
        for _ in range(80):
            if until():
                return
            self.step(after_ms)
        raise AssertionError("it did not happen")

    def deal(self) -> None:
        """Have a key dealt, from the registrations on."""
        self.register()
        self.go_on(lambda: self.beacon.groups != () and self.beacon.open is None)

    def next_period(self, count: int = 1) -> None:
        """Begin the next period, and have its beacon made if enough contribute."""
        for _ in range(count):
            self.step(after_ms=self.genesis.period_ms - self.now_ms % self.genesis.period_ms)
            self.step(after_ms=1)
            self.step(after_ms=1)


def kinds_of(requests: Iterable[bytes]) -> list[str]:
    return [type(parse_request(each)).__name__ for each in requests]
