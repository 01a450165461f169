import pytest

from bftcluster import codec
from bftcluster.blocks.exchange.exchange_messages import (
    Blocks,
    CancelWant,
    Credit,
    End,
    EndStatus,
    Message,
    Want,
    carries_blocks,
    from_frame,
    to_frame,
)
from bftcluster.cid import of_block
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import PeerId
from bftcluster.limits import FRAME_SIZE_MAX_BYTES

CID = of_block(b"x")


MESSAGES: list[Message] = [
    Want(request=1, window_bytes=2, leaf_budget_bytes=3, cids=(CID, of_block(b"y"))),
    Want(request=1, window_bytes=2, leaf_budget_bytes=3, cids=(CID,), holder=PeerId(b"p" * 32)),
    Blocks(request=1, blocks=((CID, b"x"), (of_block(b""), b""), (CID, bytes(2 << 20)))),
    Blocks(request=1, blocks=()),
    End(request=1, status=EndStatus.SERVED, absent=(CID,)),
    End(request=0, status=EndStatus.BUSY, absent=()),
    Credit(request=1, size_bytes=1 << 40),
    CancelWant(request=(1 << 63) - 1),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_decoded_as_it_was_encoded(message: Message) -> None:
    assert from_frame(to_frame(message)) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_frame_says_whether_it_has_blocks(message: Message) -> None:
    assert carries_blocks(to_frame(message)) == isinstance(message, Blocks)


def framed(head: list[object], body: bytes = b"") -> bytes:
    data = codec.encode(head)
    return len(data).to_bytes(4, "big") + data + body


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0\0\0", id="a prefix cut short"),
        pytest.param(b"\xff\xff\xff\xff\x80", id="a head longer than the frame"),
        pytest.param(framed([]), id="no fields"),
        pytest.param(framed([9, 1]), id="an unknown kind"),
        pytest.param(framed([1, 1, 1, 1, [CID], b"short"]), id="a holder that is no peer"),
        pytest.param(framed([1, 1, 1, 1, [CID], b"p" * 32, 1]), id="two holders"),
        pytest.param(framed([5]), id="too few fields"),
        pytest.param(framed([5, 1, 1]), id="too many fields"),
        pytest.param(framed([5, -1]), id="a negative number"),
        pytest.param(framed([5, True]), id="a truth where a number belongs"),
        pytest.param(framed([5, 1 << 63]), id="a number over 63 bits"),
        pytest.param(framed([5, 1], b"x"), id="a body nobody announced"),
        pytest.param(framed([1, 1, 1, 1, []]), id="a request for nothing"),
        pytest.param(framed([1, 1, 1, 1, [bytes(CID)] * 1025]), id="a request for too much"),
        pytest.param(framed([1, 1, 1, 1, [b"no cid"]]), id="a request for no CID"),
        pytest.param(framed([1, 1, 1, 1, [7]]), id="a request for a number"),
        pytest.param(framed([2, 1, [[bytes(CID), 2]]], b"x"), id="a body cut short"),
        pytest.param(framed([2, 1, [[bytes(CID), 1]]], b"xy"), id="a body too long"),
        pytest.param(framed([2, 1, [[bytes(CID), -1]]]), id="a negative size"),
        pytest.param(framed([2, 1, [[bytes(CID)]]]), id="a block without a size"),
        pytest.param(
            framed([2, 1, [[bytes(CID), (2 << 20) + 1]]], bytes((2 << 20) + 1)),
            id="a block over two mebibytes",
        ),
        pytest.param(framed([2, 1, [[bytes(CID), 0]] * 4097]), id="too many blocks"),
        pytest.param(framed([3, 1, 7, []]), id="an unknown status"),
        pytest.param(framed([3, 1, 0, [bytes(CID)] * 1025]), id="too many absent blocks"),
        pytest.param(b"\0\0\0\x02\x18\x01", id="a head that is not canonical"),
        pytest.param(bytes(FRAME_SIZE_MAX_BYTES + 1), id="a frame over its limit"),
    ],
)
def test_what_is_no_message_is_refused(frame: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        from_frame(frame)
