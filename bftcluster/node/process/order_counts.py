"""How much was ordered since this process started: numbers that only grow."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from bftcluster.ledger.wire.outcomes import Outcome
from bftcluster.ledger.wire.request_kinds import kind_of


@dataclass(slots=True)
class OrderCounts:
    """Batches, and requests by their kind and whether the ledger accepted them."""

    batches: int = 0
    requests: Counter[tuple[str, bool]] = field(default_factory=Counter)

    def note(self, pairs: Iterable[tuple[bytes, Outcome]]) -> None:
        """Count a batch, with what became of each request in it."""
        self.batches += 1
        for request, outcome in pairs:
            kind = kind_of(request)
            word = "unknown" if kind is None else kind.name.lower()
            self.requests[word, outcome.is_accepted] += 1
