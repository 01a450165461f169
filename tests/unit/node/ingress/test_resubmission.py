"""What a recovery set aside is handed in again, and whatever is refused of it is named."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bftcluster import cid as cids
from bftcluster.ledger.wire.requests import Submit, parse_request
from bftcluster.node.ingress import resubmission
from bftcluster.node.ingress.gateway import Gateway
from bftcluster.node.ingress.inbox import OrderInbox
from bftcluster.node.ingress.resubmission import Resubmission
from bftcluster.node.parts import open_parts
from bftcluster.node.process.threads import Workers
from bftcluster.pbft import Event
from bftcluster.signing.approvals import Intent
from tests.unit.node.recovery_peers import INTERVAL, Peers

BEYOND = 3


def digest_of(request: bytes) -> str:
    """Return how `pin pending` would have named what a certificate is about."""
    submit = parse_request(request)
    assert isinstance(submit, Submit)
    return Intent.from_bytes(submit.certificate.intent).digest.hex()[:12]


async def log_of_handing_in(peers: Peers, number: int) -> list[dict[str, object]]:
    """Return what a survivor logs while it hands in what was set aside."""
    with open_parts(peers.config(number)) as parts, capture_logs() as logs:
        inbox: OrderInbox[Event] = OrderInbox(external_max=100)
        again = Resubmission(
            rewinder=parts.store.rewinder,
            gateway=Gateway(inbox=inbox, verifier=parts.verifier),
            workers=Workers(1),
        )
        await again.run()
        assert parts.store.rewinder.count_set_aside() == 0
    return list(logs)


@pytest.fixture
def done_before(tmp_path: Path) -> tuple[Peers, list[bytes]]:
    """A survivor, and the requests beyond its checkpoint: each was executed before it as well."""
    peers = Peers(tmp_path)
    peers.start(0, 1)
    requests = [peers.pin_request(f"pin {number}") for number in range(INTERVAL)]
    peers.run([0, 1], requests + requests[:BEYOND])
    peers.apply(0, peers.recovery())
    return peers, requests[:BEYOND]


async def test_each_refused_request_is_named_with_its_reason(
    done_before: tuple[Peers, list[bytes]],
) -> None:
    peers, requests = done_before

    logs = await log_of_handing_in(peers, 0)

    named = [log for log in logs if log["event"] == "what was set aside was refused"]
    assert [(log["request"], log["cid"], log["proposal"], log["code"]) for log in named] == [
        (
            "Submit",
            cids.text(cids.of_block(f"pin {number}".encode())),
            digest_of(request),
            "replayed",
        )
        for number, request in enumerate(requests)
    ]
    assert all(log["reason"] for log in named)
    assert (logs[-1]["entries"], logs[-1]["refused"], logs[-1]["refused_not_named"]) == (3, 3, 0)


async def test_no_more_are_named_than_somebody_reads(
    done_before: tuple[Peers, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    peers, _ = done_before
    monkeypatch.setattr(resubmission, "REFUSED_NAMED_MAX", 2)

    logs = await log_of_handing_in(peers, 0)

    assert len([log for log in logs if log["event"] == "what was set aside was refused"]) == 2
    assert (logs[-1]["refused"], logs[-1]["refused_not_named"]) == (3, 1)
