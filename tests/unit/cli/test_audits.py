"""``bftcluster audit``: who was asked for which blocks."""

from bftcluster import cid as cids
from tests.unit.api.memory_audits import CID, SEED, closed_audit, open_audit
from tests.unit.cli.conftest import Shell
from tests.unit.cli.ledger_peer import LedgerPeer


def test_an_audit_is_a_line_with_what_came_of_it(shell: Shell, peer: LedgerPeer) -> None:
    assert "nothing is kept of any audit" in shell.ok("audit", "ls").err
    peer.drawn = [open_audit(5), closed_audit(4)]

    listed = shell.ok("audit", "ls").out.splitlines()

    assert listed[0] == f"5  sighting  {cids.text(CID)}  peer-0: pledged  peer-1: suspect"
    assert listed[1] == f"4  over  {cids.text(CID)}  peer-2: failed"
    assert len(shell.ok("audit", "ls", "--limit", "1").out.splitlines()) == 1


def test_one_audit_is_shown_with_the_batches_it_goes_back_to(
    shell: Shell, peer: LedgerPeer
) -> None:
    peer.drawn = [open_audit(5), closed_audit(4)]

    shown = shell.ok("audit", "show", "5").out
    assert f"seed    {SEED.hex()}" in shown
    assert "peer-0: pledged\n  its last word: batch 7\n" in shown

    assert "failed by contradiction, batch 9, 3 voters looked" in shell.ok("audit", "show", "4").out
    assert shell.ok("audit", "show", "4", "--json").record["number"] == 4
