"""Bounds of the shells, with the unit last: blocks, storage, the API and the command line.

Those of the core, and what both know, are in `limits`.
"""

from typing import Final

# blocks
BLOCK_SIZE_MAX_BYTES: Final = 2 << 20
"""Largest block taken from a peer or a CAR; what bitswap peers accept as well."""

# storage
WAL_FRAME_SIZE_MAX_BYTES: Final = 64 << 20
"""Most that one append may write: the records of one loop turn."""
WAL_RECORD_SIZE_MAX_BYTES: Final = 16 << 20
STATE_CACHE_ROWS_MAX: Final = 100_000
STATE_CACHE_ROW_MAX_BYTES: Final = 16 << 10
STATE_CACHE_SIZE_MAX_BYTES: Final = 64 << 20
STATE_PAGE_ROWS_MAX: Final = 10_000
"""Most rows one scan of the ledger store answers with."""
LOG_PAGE_SIZE_MAX_BYTES: Final = 4 << 20
"""Log entries are read until this is passed, so at least one comes back."""
# api
HEADERS_SIZE_MAX_BYTES: Final = 64 << 10
"""Request line and headers; ``/pins?cids=`` carries long URLs."""
CONNECTIONS_MAX: Final = 1_000
CONNECTIONS_PER_ADDRESS_MAX: Final = 500
"""Unless `api.connections_per_address_max` says otherwise: a proxy is one address."""
HEAD_TIME_MAX_S: Final = 20
"""From the first byte of a request, or of a connection, to the end of its headers."""
BODY_PACE_BYTES: Final = 16 << 10
BODY_PACE_TIME_MAX_S: Final = 20
"""For so long together we wait for each BODY_PACE_BYTES of a request's body."""
BODY_TIME_MAX_S: Final = 86_400
ANSWER_PACE_BYTES: Final = 256 << 10
ANSWER_PACE_TIME_MAX_S: Final = 60
"""For so long a client may take to read ANSWER_PACE_BYTES."""
SENT_AHEAD_SIZE_MAX_BYTES: Final = 256 << 10
"""Of requests that a client sends before the one before them is answered."""
UPLOADS_MAX: Final = 16
"""At once; each holds two groups of blocks."""
UPLOADS_PER_ADDRESS_MAX: Final = 12
READS_MAX: Final = 64
"""Contents read at once."""
READS_PER_ADDRESS_MAX: Final = 48
LISTS_MAX: Final = 64
"""Streamed lists at once."""
LISTS_PER_ADDRESS_MAX: Final = 48
PART_HEADERS_SIZE_MAX_BYTES: Final = 16 << 10
LINES_PENDING_MAX: Final = 131_072
"""Lines of an answer that wait for a client which sends everything before it reads."""
ADD_EVENTS_BUFFERED_MAX: Final = 1_000_000
"""Events of an upload with ``stream-channels=false``, which are answered at once."""
BULKS_MAX: Final = 64
"""Streams of requests at once; each reads some megabytes ahead."""
BULKS_PER_ADDRESS_MAX: Final = 48
ADD_MEMORY_MAX_BYTES: Final = 256 << 20
"""Names and directories of one upload: some 600,000 files."""
ROOTS_KEPT_MAX: Final = 1 << 18
"""Of uploads and reads that no pin keeps yet."""
SUBMIT_PAGE_REQUESTS: Final = 1_000
"""Requests of a bulk submission that are handed over together."""
SUBMIT_TIMEOUT_DEFAULT_MS: Final = 30 * 1000
SUBMIT_TIMEOUT_MAX_MS: Final = 10 * 60 * 1000
UNREAD_BODY_MAX_BYTES: Final = 64 << 20
"""How much of a refused upload is read and thrown away, so that the client sees the answer."""
METADATA_ENTRIES_MAX: Final = 64
ORIGINS_MAX: Final = 10
PIN_TEXT_SIZE_MAX_CHARS: Final = 1_024
"""A pin's name, one metadata key or value, one origin."""
CIDS_PER_QUERY_MAX: Final = 1_000
CHUNK_SIZE_MAX_BYTES: Final = 1 << 20
DAG_WIDTH_MAX: Final = 8192
"""Links of a file node: 8192 of them are half a megabyte."""
ENTRY_NAME_SIZE_MAX_BYTES: Final = 255
"""A name in a directory; what file systems take."""
DAG_BLOCKS_MAX: Final = 1 << 24
"""Distinct blocks of one DAG: 4 TiB of 256 KiB leaves."""
DAG_CBOR_DEPTH_MAX: Final = 1024
FILE_DEPTH_MAX: Final = 64
"""Levels of a file's DAG."""
DIRECTORY_DEPTH_MAX: Final = 256
"""Directories within directories, read or added."""
WALK_CREDIT_BYTES: Final = 8 << 20
"""Blocks that a reader's walk may look at before anything more comes of it."""
WALK_PENDING_MAX: Final = 1 << 18
"""Links that a walk has read and not followed yet: some 60 MB."""
TREE_ENTRIES_BASE: Final = 1 << 20
"""Entries that a tree of directories may have, however few blocks describe it."""
TREE_REPEATS_MAX: Final = 16
"""And as often as this, on average, each link of its blocks may be an entry."""
TREE_DIRECTORIES_MAX: Final = 1 << 20
"""Different directories in a tree."""
SYMLINK_TARGET_SIZE_MAX_BYTES: Final = 4096
CAR_HEADER_SIZE_MAX_BYTES: Final = 64 << 10
CAR_ROOTS_MAX: Final = 256
INGEST_GROUP_SIZE_BYTES: Final = 32 << 20
"""Blocks that an `add` or an import makes durable together, about."""
INGEST_GROUP_BLOCKS_MAX: Final = 1024
STORE_GROUP_SIZE_BYTES: Final = 32 << 20
"""Blocks that the embedded store makes durable together, about."""
STORE_GROUP_BLOCKS_MAX: Final = 1024
STORE_OVERHEAD_BYTES: Final = 24 << 20
"""Quota set aside for directories and the index's log: 4 MiB and, at worst, 16 MiB."""
STORE_BLOCK_OVERHEAD_BYTES: Final = 320
"""Quota charged for each block's index rows and directory entry, over its whole pages."""
STORE_QUOTA_MIN_BYTES: Final = 32 << 20

# block exchange
WANT_CIDS_MAX: Final = 1024
END_ABSENT_MAX: Final = 1024
BLOCKS_FRAME_SIZE_BYTES: Final = 1 << 20
"""A frame of blocks is sent when it holds this much; with one more block it stays a frame."""
FRAME_BLOCKS_MAX: Final = 4096
SERVED_REQUESTS_PER_PEER_MAX: Final = 64
WINDOW_SIZE_MAX_BYTES: Final = 64 << 20
"""What a provider sends ahead of credit, at most, whatever the requester grants."""
AUDIT_READS_MAX: Final = 4
"""Suspects that a voter reads from at once, a block of each at a time."""
AUDIT_PATH_TIME_MAX_S: Final = 30.0
"""For so long a voter reads one path of blocks from a suspect: who trickles them keeps others
waiting."""

# relays
HANDED_IN_MAX: Final = 256
"""Requests of light peers that a relay waits for at once."""
HANDED_IN_PER_PEER_MAX: Final = 4
HINTS_WAITING_MAX: Final = 10_000
"""Pins that light peers are still to be told of; of more they hear when they ask."""
HINT_LOG_ENTRIES_MAX: Final = 4_096
"""So far back a relay reads the log for the approvals of one pin; without, a light peer waits for
the checkpoint that proves its duty."""

RELAYED_THREADS: Final = 8
"""Each waits for a block that another peer sends."""
RELAYED_PER_PEER_MAX: Final = 2
"""Of them, for one peer that asks."""
RELAYED_DOUBTED_MAX: Final = 3
"""Of them, for all peers together that asked last for what was not to be had."""
RELAYED_READ_TIME_MAX_S: Final = 10.0
"""For so long a relay waits for one block."""
RELAYED_WASTE_TIME_MAX_S: Final = 10.0
"""After so long for blocks that did not come, what goes into one frame is given up."""
PROVIDERS_ASKED_MAX: Final = 32
"""Peers that a relay asks for one block, one after the other: holders first, then other relays."""

# cli
POLL_PACE_MIN_S: Final = 0.05
"""How often a command that waits for pins asks at first; half as often again each time, up to"""
POLL_PACE_MAX_S: Final = 1.0
PRINTED_BASE_BYTES: Final = 1 << 30
PRINTED_REPEATS_MAX: Final = 16
"""A file that is printed may have as many times the bytes of its blocks, beyond the base."""

# the door for invitations
DOOR_VISITORS_MAX: Final = 16
DOOR_VISITORS_PER_ADDRESS_MAX: Final = 4
DOOR_BURST_PER_ADDRESS_MAX: Final = 16
DOOR_PER_ADDRESS_PER_S: Final = 1
DOOR_QUESTION_SIZE_MAX_BYTES: Final = 16 << 10
DOOR_TIMEOUT_S: Final = 4.5
"""What a stranger has for its question and our answer: less than a handshake may take."""
