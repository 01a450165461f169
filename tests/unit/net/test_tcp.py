"""Addresses, and ports that are taken."""

import pytest

from bftcluster.errors import ConfigError
from bftcluster.net import tcp


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("/ip4/192.0.2.1/tcp/9096", "192.0.2.1", 9096),
        ("/ip6/2001:db8::1/tcp/1", "2001:db8::1", 1),
        ("/dns4/node-1/tcp/9096", "node-1", 9096),
        ("/dns/example.org/tcp/9096/p2p/12D3KooWEyopop", "example.org", 9096),
    ],
)
def test_an_address_has_a_host_and_a_port(text: str, host: str, port: int) -> None:
    if "p2p" in text:
        text = text.split("/p2p", maxsplit=1)[0]
    assert tcp.parse_address(text) == (host, port)


@pytest.mark.parametrize(
    "text", ["", "127.0.0.1:80", "/ip4/127.0.0.1", "/tcp/80", "/ip4/1.2.3/tcp/1", "/ip4/::1/tcp/1"]
)
def test_what_is_no_address_is_the_users_fault(text: str) -> None:
    with pytest.raises(ConfigError, match="not a TCP address"):
        tcp.parse_address(text)


async def test_a_port_that_is_taken_is_an_error_with_a_hint_and_leaves_nothing_bound() -> None:
    taken = await tcp.bind(["/ip4/127.0.0.1/tcp/0"])
    listener = taken["/ip4/127.0.0.1/tcp/0"][0]
    port = listener.socket.getsockname()[1]

    with pytest.raises(ConfigError, match="something else listens there") as caught:
        await tcp.bind([f"/ip4/127.0.0.1/tcp/{port}"])
    assert "another node" in caught.value.hint

    await tcp.close(taken)
    await tcp.close(await tcp.bind([f"/ip4/127.0.0.1/tcp/{port}"]))


async def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    with pytest.raises(ConfigError, match="not one of this machine's"):
        await tcp.bind(["/ip4/192.0.2.1/tcp/9096"])
