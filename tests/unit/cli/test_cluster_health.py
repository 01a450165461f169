"""``cluster health``: the exit code says how bad it is, and the text why."""

from dataclasses import replace

import pytest

from bftcluster.api.health_views import Finding, HealthGrade
from tests.unit.api.memory_peers import WELL
from tests.unit.cli.conftest import Shell
from tests.unit.cli.ledger_peer import LedgerPeer


@pytest.mark.parametrize("grade", list(HealthGrade))
def test_the_exit_code_is_the_grade(shell: Shell, peer: LedgerPeer, grade: HealthGrade) -> None:
    finding = Finding(grade=grade, code="x", text="something \x1b[31mis")
    peer.cluster = replace(WELL, findings=(finding,) if grade else (), absent=("peer-4",))

    answer = shell("cluster", "health")

    assert answer.code == grade.value
    assert grade.word.upper() in answer.out
    assert "\x1b" not in answer.out
    assert "1 more may fail" in answer.out
    assert "absent     peer-4" in answer.out
    assert "peer peer-2: 2 pins short of a copy, 1.1 GB to copy" in answer.out


def test_a_peer_that_cannot_be_reached_is_unknown_to_a_monitor(
    shell: Shell, peer: LedgerPeer
) -> None:
    answer = shell("cluster", "health", "--api", "http://127.0.0.1:9")

    assert answer.code == 3
