"""``bftcluster repair``: what waits for other holders."""

from dataclasses import replace

from bftcluster.api.views import RepairView
from bftcluster.ledger.wire.operations import PinOperation
from tests.unit.api.ordered import pin_record
from tests.unit.cli.conftest import Shell
from tests.unit.cli.ledger_peer import LedgerPeer
from tests.unit.cli.test_pins import CID, TEXT


def test_a_pin_that_waits_is_a_line_with_its_live_copies(shell: Shell, peer: LedgerPeer) -> None:
    assert "nothing waits for repair" in shell.ok("repair", "ls").err
    operation = PinOperation(cid=CID, name="photos", replication_min=2, replication_max=3)
    first = RepairView(pin=pin_record(operation), live=1, needed=2)
    peer.waiting = [first, replace(first, live=2)]

    listed = shell.ok("repair", "ls", "--limit", "1")

    assert listed.out == f"{TEXT}  photos  1 of 2 copies live\n"
    assert len(shell.ok("repair", "ls").out.splitlines()) == 2
    assert shell.ok("repair", "ls", "--limit", "1", "--json").record["live"] == 1
