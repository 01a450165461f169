"""A connection fed with anything: it lives or ends, raises nothing, and holds a bounded amount."""

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from bftcluster.limits import YAMUX_INBOUND_STREAMS_MAX, YAMUX_WINDOW_INITIAL_BYTES
from bftcluster.net.yamux import KeepAlive
from bftcluster.net.yamux_frames import DATA, encode
from tests.unit.net.pipes import connection_to_raw_peer

ids = st.sampled_from([0, 1, 2, 3, 5, 7, 2**32 - 1])
flags = st.integers(0, 15)
data_frames = st.builds(
    lambda flag, sid, size: encode(DATA, flag, sid, size, bytes(size)),
    flags,
    ids,
    st.sampled_from([0, 1, 1000, 65_507, YAMUX_WINDOW_INITIAL_BYTES]),
)
other_frames = st.builds(
    encode, st.integers(1, 3), flags, ids, st.sampled_from([0, 1, 1 << 20, 2**32 - 1])
)
pieces = st.lists(st.one_of(data_frames, other_frames, st.binary(max_size=30)), max_size=30)


@given(pieces)
@settings(deadline=None)
def test_a_connection_survives_or_ends_in_order_whatever_it_is_sent(sent: list[bytes]) -> None:
    async def feed() -> None:
        async with connection_to_raw_peer(KeepAlive(interval_s=99, timeout_s=99)) as (ours, remote):
            await remote.send(*sent)
            await trio.testing.wait_all_tasks_blocked()

            held = [len(stream._received) for stream in ours._streams.values()]
            assert len(held) <= YAMUX_INBOUND_STREAMS_MAX
            assert all(size <= YAMUX_WINDOW_INITIAL_BYTES for size in held)
            assert ours.event_closed.is_set() or ours.is_established

    trio.run(feed)
