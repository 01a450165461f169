"""Whatever the roster, an allocation is one that its rules allow, the same wherever it is made."""

import os
import subprocess
import sys
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from bftcluster.allocation.roster import Roster
from bftcluster.ids import PeerId
from bftcluster.ledger.rules.holders.allocation import NotEnoughPeers, allocate
from tests.architecture.repository import ROOT
from tests.unit.allocation.crowds import peer, picks, roster_of

WEIGHTS = st.sampled_from([-1, 0, 1, 2, 1000, (1 << 24) - 1, 1 << 24, 1 << 70])
NAMES = st.sampled_from(["", "a", "b", "c"])
MEMBERS = st.lists(st.tuples(WEIGHTS, NAMES, NAMES, st.booleans()), max_size=30)
NUMBERS = st.lists(st.integers(0, 35), max_size=8, unique=True)


def roster(members: list[tuple[int, str, str, bool]]) -> Roster:
    known = Roster()
    for number, (weight, domain, operator, is_newcomer) in enumerate(members):
        known.update(
            peer(number), weight, domain=domain, operator=operator, is_newcomer=is_newcomer
        )
    return known


@given(MEMBERS, NUMBERS, NUMBERS, st.binary(max_size=40), st.integers(1, 6), st.integers(0, 6))
def test_every_allocation_is_valid(
    members: list[tuple[int, str, str, bool]],
    held: list[int],
    named: list[int],
    seed: bytes,
    least: int,
    more: int,
) -> None:
    known = roster(members)
    current, preferred = [peer(number) for number in held], [peer(number) for number in named]
    new = {peer(n) for n, member in enumerate(members) if member[0] > 0} - set(current)

    chosen = allocate(
        seed, known, least=least, most=least + more, current=current, preferred=preferred
    )

    if isinstance(chosen, NotEnoughPeers):
        assert len(current) < least
        assert (chosen.candidates, chosen.needed) == (len(new), least - len(current))
        assert chosen.candidates < chosen.needed
        return
    assert list(chosen) == sorted(set(chosen))
    if len(current) > least + more:
        assert len(chosen) == least + more
        assert set(chosen) <= set(current)
    elif len(current) >= least:
        assert set(chosen) == set(current)
    else:
        assert set(current) <= set(chosen) <= set(current) | new
        assert len(chosen) == min(least + more, len(current) + len(new))


@given(MEMBERS, st.binary(max_size=40), st.integers(1, 5))
def test_as_many_domains_hold_a_copy_as_can(
    members: list[tuple[int, str, str, bool]], seed: bytes, count: int
) -> None:
    trusted = [(weight, domain, operator, False) for weight, domain, operator, _ in members]
    known = roster(trusted)
    everyone = [PeerId(peer(n)) for n, (weight, *_) in enumerate(trusted) if weight > 0]

    chosen = known.pick(seed, count)

    # An operator in two domains may cost the second one its turn, never a domain its copy.
    assert known.domains(chosen) == min(count, known.domains(everyone))


def trace() -> str:
    """Return what depends on every draw."""
    known = roster_of(
        200, weight=lambda n: n % 5, domain=lambda n: f"d{n % 30}", operator=lambda n: f"o{n % 7}"
    )
    return b"".join(each for chosen in picks(known, 100, copies=4) for each in chosen).hex()


def test_allocations_are_the_same_interpreted_and_compiled() -> None:
    """Pinned: the fast tests of the core run in both forms."""
    assert sha256(trace().encode()).hexdigest()[:16] == "05dd164bf0e3471f"


def test_allocations_do_not_depend_on_the_hash_seed() -> None:
    code = "from tests.property.test_allocations import trace; print(trace())"
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("0", "1")
    }

    assert said == {trace()}
