"""Calls between peers: a request and its answer are frames with the same number.

No stream per request: opening one costs fifty times what a frame does. Messages are canonical
CBOR arrays; requests ``[0, number, method, payload]``, answers ``[1, number, payload]``, errors
``[2, number, code, text]``.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any, Final, NoReturn

import trio

from bftcluster.codec import decode, encode
from bftcluster.errors import (
    ClusterError,
    MalformedMessageError,
    PeerUnreachableError,
    RemoteCallError,
    RequestTimeoutError,
    TransportError,
)
from bftcluster.ids import PeerId
from bftcluster.limits import (
    FRAME_SIZE_MAX_BYTES,
    RPC_CALLS_PENDING_MAX,
    RPC_ERROR_SIZE_MAX_CHARS,
    RPC_METHOD_SIZE_MAX_CHARS,
    RPC_SERVED_MAX,
    RPC_SERVED_PER_PEER_MAX,
)
from bftcluster.signing.keys import peer_id_text

log = logging.getLogger(__name__)

_REQUEST: Final = 0
_ANSWER: Final = 1
_ERROR: Final = 2

UNKNOWN_METHOD: Final = "unknown-method"
REFUSED: Final = "refused"
BUSY: Final = "busy"
FAILED: Final = "failed"

Method = Callable[[PeerId, bytes], Awaitable[bytes]]
"""Answers one call of a peer. A caller is told of a ``ClusterError``, not of other exceptions."""


class _Call:
    """One that waits for its answer."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.result: bytes | TransportError = PeerUnreachableError("no answer")

    def finish(self, result: bytes | TransportError) -> None:
        self.result = result
        self.done.set()


class Rpc:
    """Both ends of the calls of one node."""

    def __init__(
        self,
        *,
        send: Callable[[PeerId, bytes], Awaitable[None]],
        send_nowait: Callable[[PeerId, bytes], bool],
        methods: Mapping[str, Method],
    ) -> None:
        self._send = send
        self._send_nowait = send_nowait
        self._methods = dict(methods)
        self._numbers = count(1)
        self._calls: dict[tuple[PeerId, int], _Call] = {}
        """By peer as well, so that nobody answers for another."""
        self._served: Counter[PeerId] = Counter()
        self._nursery: trio.Nursery | None = None

    def register(self, method: str, handler: Method) -> None:
        """Answer calls of ``method`` with ``handler``."""
        assert len(method) <= RPC_METHOD_SIZE_MAX_CHARS, "a method's name is short"
        assert method not in self._methods, "a method is registered once"
        self._methods[method] = handler

    async def serve(self, task_status: Any = trio.TASK_STATUS_IGNORED) -> NoReturn:  # noqa: ANN401
        """Run the handlers of calls until cancelled."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()
        raise AssertionError("a nursery with a sleeper ends by an exception")

    async def call(self, peer: PeerId, method: str, payload: bytes, timeout_s: float) -> bytes:
        """Ask ``peer`` and return its answer.

        Raises:
            PeerUnreachableError: Not connected, or the connection was lost meanwhile.
            RequestTimeoutError: No answer within ``timeout_s`` seconds.
            RemoteCallError: The peer answered with an error.
            MessageTooLargeError: ``payload`` does not fit a frame.
        """
        if len(self._calls) >= RPC_CALLS_PENDING_MAX:
            raise TransportError(f"{RPC_CALLS_PENDING_MAX} calls are waiting already")
        number = next(self._numbers)
        call = _Call()
        self._calls[peer, number] = call
        try:
            with trio.fail_after(timeout_s):
                await self._send(peer, encode([_REQUEST, number, method, payload]))
                await call.done.wait()
        except trio.TooSlowError:
            raise RequestTimeoutError(
                f"{peer_id_text(peer)} did not answer {method} in {timeout_s:g} s"
            ) from None
        finally:
            del self._calls[peer, number]
        if isinstance(call.result, TransportError):
            raise call.result
        return call.result

    async def on_frame(self, peer: PeerId, frame: bytes) -> None:
        """Take a frame of the RPC class.

        Raises:
            MalformedMessageError: Not a message of this protocol.
        """
        match decode(frame, size_max_bytes=FRAME_SIZE_MAX_BYTES):
            case [0, int(number), str(method), bytes(payload)] if _is_number(number):
                self._on_request(peer, number, method, payload)
            case [1, int(number), bytes(payload)] if _is_number(number):
                self._finish(peer, number, payload)
            case [2, int(number), str(code), str(text)] if _is_number(number):
                text = text[:RPC_ERROR_SIZE_MAX_CHARS]
                self._finish(peer, number, RemoteCallError(text, code=code[:32]))
            case _:
                raise MalformedMessageError("not an RPC message")

    def on_link_down(self, peer: PeerId) -> None:
        """Fail every call that waits for ``peer``: its answer would come on a lost stream."""
        for (asked, _), call in self._calls.items():
            if asked == peer:
                call.finish(PeerUnreachableError(f"lost the connection to {peer_id_text(peer)}"))

    def _finish(self, peer: PeerId, number: int, result: bytes | TransportError) -> None:
        """Wake the caller, if it still waits."""
        call = self._calls.get((peer, number))
        if call is not None:
            call.finish(result)

    def _on_request(self, peer: PeerId, number: int, method: str, payload: bytes) -> None:
        """Start answering a call, or refuse it.

        A refusal never waits for room: if both ends of a link did, neither would read.
        """
        handler = self._methods.get(method)
        if handler is None:
            text = f"no method {method[:RPC_METHOD_SIZE_MAX_CHARS]!r}"
            self._send_nowait(peer, encode([_ERROR, number, UNKNOWN_METHOD, text]))
        elif (
            self._nursery is None
            or self._served[peer] >= RPC_SERVED_PER_PEER_MAX
            or self._served.total() >= RPC_SERVED_MAX
        ):
            self._send_nowait(peer, encode([_ERROR, number, BUSY, "too many calls at once"]))
        else:
            self._served[peer] += 1
            self._nursery.start_soon(self._serve_one, handler, peer, number, payload)

    async def _serve_one(self, handler: Method, peer: PeerId, number: int, payload: bytes) -> None:
        try:
            answer = await self._run(handler, peer, number, payload)
            await self._send(peer, answer)
        except TransportError as exc:
            log.debug("no answer to %s: %s", peer_id_text(peer), exc)
        finally:
            self._served[peer] -= 1
            if not self._served[peer]:
                del self._served[peer]

    async def _run(self, handler: Method, peer: PeerId, number: int, payload: bytes) -> bytes:
        """Return the message that answers a call."""
        try:
            answer = encode([_ANSWER, number, await handler(peer, payload)])
        except ClusterError as exc:
            return encode([_ERROR, number, REFUSED, str(exc)[:RPC_ERROR_SIZE_MAX_CHARS]])
        except Exception:
            log.exception("a call of %s failed", peer_id_text(peer))
            return encode([_ERROR, number, FAILED, "internal error"])
        if len(answer) > FRAME_SIZE_MAX_BYTES:
            return encode([_ERROR, number, FAILED, "the answer does not fit a frame"])
        return answer


def _is_number(number: int) -> bool:
    """Whether ``number`` can be a call's; ``True`` is an int to a pattern, and is not."""
    return type(number) is int and number > 0
