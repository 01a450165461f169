"""Whatever the ledger says of the peers, the network goes on."""

import logging

import pytest

from bftcluster.ids import PeerId
from bftcluster.limits import LINKS_MAX, PEERS_MAX
from bftcluster.net.network import Network
from bftcluster.net.settings import NetworkSettings

GOOD, BAD = "/ip4/192.0.2.1/tcp/9096", "/unix/etc/passwd"


def network(peers: dict[PeerId, list[str]], **settings: int) -> Network:
    return Network(
        seed=bytes(32),
        listen=[],
        peers=peers,
        handlers={},
        settings=NetworkSettings(**settings),
    )


def peer(number: int) -> PeerId:
    return PeerId(number.to_bytes(32, "big"))


def test_an_address_that_cannot_be_dialled_is_left_out_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "bftcluster.net.network"):
        net = network({peer(1): [BAD, GOOD]})
        net.allow({peer(1): [BAD, GOOD], peer(2): [GOOD]})

    assert net.peers == {peer(1): [GOOD], peer(2): [GOOD]}
    assert [BAD in record.getMessage() for record in caplog.records] == [True]


def test_too_many_peers_are_no_reason_to_stop(caplog: pytest.LogCaptureFixture) -> None:
    net = network({}, peers_max=2)

    with caplog.at_level(logging.WARNING, "bftcluster.net.network"):
        net.allow({peer(number): [] for number in range(4)})

    assert list(net.peers) == [peer(0), peer(1)]
    assert len(caplog.records) == 2


def test_the_ledger_admits_no_more_peers_than_can_be_linked() -> None:
    assert PEERS_MAX < LINKS_MAX
