"""By what a pin's holders are chosen: asked for in words, and shown to whoever approves."""

import pytest

from tests.unit.cli.conftest import Shell
from tests.unit.cli.ledger_peer import LedgerPeer
from tests.unit.cli.test_pins import TEXT, propose


def test_whoever_approves_reads_by_what_holders_are_chosen(shell: Shell, peer: LedgerPeer) -> None:
    place = ("--place", "require=disk:s\x1bsd", "--place", "spread=region", "--place", "domains=2")
    digest = propose(shell, "--rmin", "1", *place)["proposal"]

    told = shell("pin", "approve", digest, "--key", "bob.key", "--yes").err

    assert "holders      tags: by what peers say of themselves, then as balanced" in told
    assert 'holders      of different "region", if there are' in told
    assert "holders      in 2 failure domains at least" in told
    assert "\x1b" not in told


@pytest.mark.parametrize("place", ["require", "require=", "strategy=best", "require=ssd"])
def test_a_strategy_that_makes_no_sense_is_refused(
    shell: Shell, peer: LedgerPeer, place: str
) -> None:
    shell.misused("pin", "add", TEXT, "--key", "alice.key", "--yes", "--place", place)


def test_rules_by_age_are_proposed_and_read_in_plain_words(shell: Shell, peer: LedgerPeer) -> None:
    line = ("cluster", "age-rules", "--rule", "30d=1-2", "--rule", "0d=3-4")

    digest = shell.ok(*line, "--key", "alice.key", "--yes", "--json").record["proposal"]
    told = shell("pin", "approve", digest, "--key", "bob.key", "--yes").err

    assert "rule         from 0s on: 3 to 4 copies" in told
    assert "rule         from 30d on: 1 to 2 copies" in told
    assert told.index("0s on") < told.index("30d on")
    for rule in ("30d", "x=1-2", "30d=2", "=1-2", "1d=3-2"):
        shell.misused("cluster", "age-rules", "--rule", rule, "--key", "alice.key", "--yes")
