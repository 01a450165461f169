"""What can be tuned in the transport. The defaults suit a cluster over the internet."""

from dataclasses import dataclass, field, replace

from bftcluster.limits import LINKS_MAX
from bftcluster.net.yamux import KeepAlive


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """Times in seconds, as trio takes them."""

    heartbeat_interval_s: float = 1.0
    """A link that has nothing else to send says so this often."""
    silence_max_s: float = 5.0
    """A peer that we hear nothing from for so long is not connected, whatever TCP believes."""
    dial_timeout_s: float = 5.0
    """For TCP, handshake and multiplexer of one address, and again for the streams."""
    dial_head_start_s: float = 0.2
    """The peer with the larger id waits so long for the other's dial, to save a connection."""
    backoff_min_s: float = 0.1
    backoff_max_s: float = 5.0
    """Pause between failed dials: doubled each time, and jittered by half."""
    handshake_timeout_s: float = 5.0
    """An inbound connection that has not proven who it is by then is closed."""
    close_timeout_s: float = 1.0
    """What leaving may take, for all connections together."""
    keep_alive: KeepAlive = field(default_factory=KeepAlive)
    peers_max: int = LINKS_MAX
    guests_max: int = 0
    """Of those who may connect and are never dialled, so many have a link at once."""
    guest_heartbeat_interval_s: float = 30.0
    """Likewise, on links of guests."""
    guest_silence_max_s: float = 75.0
    guest_keep_alive: KeepAlive = field(
        default_factory=lambda: KeepAlive(interval_s=30.0, timeout_s=30.0)
    )

    @property
    def of_guests(self) -> "NetworkSettings":
        """What holds on the links of guests, at either end."""
        return replace(
            self,
            heartbeat_interval_s=self.guest_heartbeat_interval_s,
            silence_max_s=self.guest_silence_max_s,
            keep_alive=self.guest_keep_alive,
        )
