"""py-libp2p made safe and fast: sessions, streams, outboxes. The node uses ``network``."""
