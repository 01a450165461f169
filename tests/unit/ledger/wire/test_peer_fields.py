"""What a peer may announce, every other peer can dial and show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftcluster.errors import MalformedMessageError
from bftcluster.ledger.wire.peer_fields import check_peer_texts, is_tcp_address
from bftcluster.net import tcp

GOOD = [
    "/ip4/192.0.2.1/tcp/9096",
    "/ip4/0.0.0.0/tcp/65535",
    "/ip6/::/tcp/1",
    "/ip6/2001:db8::1/tcp/1",
    "/ip6/1:2:3:4:5:6:7:8/tcp/3",
    "/dns/example.org/tcp/9096",
    "/dns4/node-1/tcp/9096",
    "/dns6/a.b/tcp/1",
]
BAD = [
    "/",
    "/unix/etc/passwd",
    "/ip4/192.0.2.1",
    "/ip4/192.0.2.1/udp/9096",
    "/ip4/192.0.2.1/tcp/9096/p2p/12D3KooWEyopop",
    "/ip4/192.0.2.1/tcp/9096/",
    "/ip4/192.0.2.01/tcp/9096",
    "/ip4/192.0.2.256/tcp/9096",
    "/ip4/192.0.2/tcp/9096",
    "/ip4/192.0.2.1/tcp/0",
    "/ip4/192.0.2.1/tcp/65536",
    "/ip4/192.0.2.1/tcp/09",
    "/ip4/192.0.2.1/tcp/\uff19",
    "/ip6/:::/tcp/1",
    "/ip6/1::2::3/tcp/1",
    "/ip6/1:2:3:4:5:6:7/tcp/1",
    "/ip6/1:2:3:4:5:6:7:8:9/tcp/1",
    "/ip6/fe80::1%eth0/tcp/1",
    "/dns/a..b/tcp/1",
    "/dns/-a/tcp/1",
    "/dns/xn--zzzz/tcp/1",
    f"/dns/{'a' * 64}/tcp/1",
    "/dns/b\u00fccher/tcp/1",
    "/dns/a\x00b/tcp/1",
]


@pytest.mark.parametrize("address", GOOD)
def test_an_address_that_can_be_dialled_is_taken(address: str) -> None:
    check_peer_texts("a peer", (address,))

    assert tcp.is_address(address)


@pytest.mark.parametrize("address", BAD)
def test_an_address_that_cannot_be_dialled_is_refused(address: str) -> None:
    with pytest.raises(MalformedMessageError):
        check_peer_texts("a peer", (address,))


HOSTS = st.text(alphabet="0123456789abcdfxn.:-_%A\u00fc", max_size=70)


@given(
    kind=st.sampled_from(["ip4", "ip6", "dns", "dns4", "dns6", "unix"]),
    host=HOSTS | st.ip_addresses().map(str) | st.just("a" * 63 + ".") | st.text(max_size=10),
    port=st.integers(-1, 70_000).map(str) | st.text(max_size=6),
)
def test_what_the_ledger_takes_the_network_can_dial(kind: str, host: str, port: str) -> None:
    address = f"/{kind}/{host}/tcp/{port}"

    assert not is_tcp_address(address) or tcp.is_address(address)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "\x7f", "\x9b31m", "a\x00"])
def test_a_name_that_a_screen_would_obey_is_refused(name: str) -> None:
    with pytest.raises(MalformedMessageError, match="control character"):
        check_peer_texts(name, ())
