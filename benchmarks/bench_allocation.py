"""What it costs to allocate a pin: the tree, beside the ranking of all candidates in the same run.

CPU time of one process. The goals: 100 us at 25 domains of 20 operators of 20 peers, and 500 us at
10,000 peers in one domain. A ranking, as it was before the tree, hashes once for each candidate.
"""

import hashlib
from collections.abc import Callable
from itertools import count

from benchmarks.result import Result
from benchmarks.timing import calls_per_second, seconds_per_call
from bftcluster.allocation.roster import Roster
from bftcluster.ids import PeerId
from bftcluster.ledger.rules.holders.allocation import allocate
from bftcluster.reputation.arithmetic import cost
from bftcluster.reputation.logarithms import log2_table

CANDIDATES = (100, 1000, 10_000)
COPIES = 3
DOMAINS = 25
OPERATORS = 20
GOAL_TREE_US = 100.0
GOAL_ONE_DOMAIN_US = 500.0


def run() -> list[Result]:
    results = []
    for candidates in CANDIDATES:
        drawn = calls_per_second(allocations(roster(candidates)))
        ranked = calls_per_second(rankings(candidates))
        results.append(
            Result(name=f"allocations_{candidates}", value=drawn, unit="1/s", limit=ranked)
        )
    tree = seconds_per_call(allocations(roster(10_000)))
    one = seconds_per_call(allocations(roster(10_000, domains=1)))
    change = seconds_per_call(changes(roster(10_000, domains=1)))
    return [
        *results,
        Result(name="allocation_tree_us", value=tree * 1e6, unit="us", limit=GOAL_TREE_US),
        Result(
            name="allocation_one_domain_us", value=one * 1e6, unit="us", limit=GOAL_ONE_DOMAIN_US
        ),
        Result(name="allocation_weight_us", value=change * 1e6, unit="us"),
    ]


def peer(number: int) -> PeerId:
    """Return the id of a made-up peer."""
    return PeerId(hashlib.sha256(b"peer %d" % number).digest())


def roster(candidates: int, *, domains: int = DOMAINS) -> Roster:
    """Return candidates of different weights; in a single domain they have one operator each."""
    known = Roster()
    for number in range(candidates):
        domain = f"domain {number % domains}"
        operator = f"{domain} {number // domains % OPERATORS}" if domains > 1 else ""
        known.update(peer(number), 1000 + number % 777, domain=domain, operator=operator)
    return known


def allocations(known: Roster) -> Callable[[], object]:
    """Return what allocates another pin each time."""
    numbers = count()
    return lambda: allocate(b"pin %d" % next(numbers), known, least=COPIES, most=COPIES)


def changes(known: Roster) -> Callable[[], object]:
    """Return what changes another peer's weight each time."""
    numbers = count()

    def change() -> None:
        number = next(numbers)
        known.update(peer(number % 10_000), 2000 + number % 555, domain="domain 0")

    return change


def rankings(candidates: int) -> Callable[[], object]:
    """Return what ranks all candidates for another pin each time, by a hash each."""
    weights = [(1000 + number % 777, peer(number)) for number in range(candidates)]
    copies = [(weight, hashlib.sha256(key).copy, key) for weight, key in weights]
    table = log2_table()
    numbers = count()

    def rank() -> list[PeerId]:
        pin = b"pin %d" % next(numbers)
        bids = []
        for weight, copy, key in copies:
            state = copy()
            state.update(pin)
            draw = int.from_bytes(state.digest()[:4], "big")
            bids.append((cost(draw, weight, table), key))
        bids.sort()
        return [key for _, key in bids[:COPIES]]

    return rank
