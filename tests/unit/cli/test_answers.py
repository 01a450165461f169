"""What the command makes of answers that no good peer gives: a real server, any bytes."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bftcluster import cid as cids
from bftcluster.errors import UsageError
from bftcluster.ids import Digest
from bftcluster.ledger.wire.operations import EVERYWHERE, PinOperation
from bftcluster_cli.pin_options import PinChoice, duration_ms, replication
from tests.unit.cli.conftest import Shell
from tests.unit.cli.ledger_peer import LedgerPeer

CID = cids.of_block(b"what should be kept")
TEXT = cids.text(CID)


@contextmanager
def answering(answer: bytes | None) -> Iterator[str]:
    """Answer every request with these bytes, or hold the connection open for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.recv(65_536)
            if answer is None:
                held.append(connection)
                continue
            connection.sendall(answer)
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in held:
            connection.close()


def response(status: int, body: str, kind: str = "application/json") -> bytes:
    data = body.encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + data


@pytest.mark.parametrize(
    ("answer", "code", "complaint"),
    [
        (response(400, '{"message": "no such thing"}'), 2, "error: no such thing"),
        (response(403, '{"message": "not you"}'), 1, "error: not you"),
        (response(404, '{"message": "nothing"}'), 1, "error: nothing"),
        (response(500, '{"message": "internal error"}'), 1, "the peer failed: internal error"),
        (response(503, '{"message": "no quorum"}'), 3, "error: no quorum"),
        (response(504, '{"message": "too late"}'), 3, "error: too late"),
        (response(507, '{"message": "full"}'), 1, "hint: raise `storage.quota`"),
        (response(500, "{}"), 1, "the peer answered 500"),
        (response(404, "<html>", "text/html"), 2, "is no bftcluster peer"),
        (response(307, ""), 2, "is no bftcluster peer"),
        (response(200, "<html>", "text/html"), 1, "makes no sense"),
        (response(200, "[]"), 1, "makes no sense"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", 3, "broke"),
        (b"SSH-2.0-OpenSSH\r\n", 3, "broke"),
        (b"", 3, "broke"),
    ],
)
def test_a_strange_answer_is_told_in_one_line(
    shell: Shell, answer: bytes, code: int, complaint: str
) -> None:
    with answering(answer) as url:
        told = shell("peer", "status", "--api", url)

    assert told.code == code
    assert complaint in told.err
    assert told.out == ""


def test_a_peer_that_never_answers_is_not_reached(shell: Shell) -> None:
    with answering(None) as url:
        told = shell("peer", "status", "--api", url, "--timeout", "0.2")

    assert told.code == 3
    assert "did not answer within" in told.err


def test_a_peer_cannot_move_the_cursor(shell: Shell) -> None:
    with answering(response(403, '{"message": "\\u001b[2J\\u0007", "hint": "\\u001b[1A"}')) as url:
        told = shell("peer", "status", "--api", url)

    assert "\x1b" not in told.err
    assert "\x07" not in told.err


def test_a_peer_cannot_show_another_policy_than_its_genesis(shell: Shell, peer: LedgerPeer) -> None:
    peer.policy_shown = replace(peer.genesis_of.policy, threshold=1)

    told = shell("pin", "add", TEXT, "--key", "alice.key", "--yes")

    assert told.code == 1
    assert "shows a policy that is not its cluster's" in told.err


@pytest.mark.parametrize("content", ["", "[]", '{"http://x": 1}', "\x00"])
def test_a_damaged_list_of_known_clusters_stops_signing(
    shell: Shell, peer: LedgerPeer, home: Path, content: str
) -> None:
    path = home / "config" / "bftcluster" / "known_clusters.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)

    told = shell("pin", "add", TEXT, "--key", "alice.key", "--yes")

    assert told.code == 2
    assert f"hint: rm {path}" in told.err


def test_a_proposal_that_does_not_exist_is_not_signed(shell: Shell, peer: LedgerPeer) -> None:
    told = shell("pin", "approve", "ab" * 32, "--key", "bob.key", "--yes")

    assert told.code == 2
    assert "there is no proposal abababababab" in told.err
    assert shell("pin", "approve", Digest(bytes(4)).hex(), "--key", "bob.key", "--yes").code == 2


def test_every_option_of_a_pin_is_signed() -> None:
    choice = PinChoice(
        name="photos",
        least=2,
        most=3,
        expire_in="1h30m",
        metadata=("b=2", "a=1=1"),
        is_direct=True,
    )

    operation = choice.operation(TEXT, now_ms=1000)

    assert operation == PinOperation(
        cid=CID,
        name="photos",
        replication_min=2,
        replication_max=3,
        mode=operation.mode,
        metadata=(("a", "1=1"), ("b", "2")),
        expire_at_ms=1000 + 90 * 60_000,
    )
    assert operation.mode.name == "DIRECT"


@pytest.mark.parametrize(
    ("text", "expected_ms"), [("90s", 90_000), ("2d", 172_800_000), ("1w", 604_800_000)]
)
def test_times_are_read_as_people_write_them(text: str, expected_ms: int) -> None:
    assert duration_ms(text) == expected_ms


@pytest.mark.parametrize("text", ["", "0s", "5", "1x", "-1h", "1h x", "1.5h"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a time"):
        duration_ms(text)


def test_one_replication_factor_stands_for_both() -> None:
    assert replication(None, None) == (0, 0)
    assert replication(2, None) == (2, 2)
    assert replication(None, 3) == (3, 3)
    assert replication(EVERYWHERE, None) == (EVERYWHERE, EVERYWHERE)
    with pytest.raises(UsageError):
        replication(0, 3)


@pytest.mark.parametrize("metadata", ["novalue", "=x"])
def test_metadata_needs_a_key_and_a_value(metadata: str) -> None:
    with pytest.raises(UsageError, match="not metadata"):
        PinChoice(metadata=(metadata,)).operation(TEXT, now_ms=0)
