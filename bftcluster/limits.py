"""Every bound, with its unit last.

What comes from a peer or a file is measured against these before it is parsed.
"""

from typing import Final

DIGEST_SIZE_BYTES: Final = 32
PUBLIC_KEY_SIZE_BYTES: Final = 32
SIGNATURE_SIZE_BYTES: Final = 64

TIME_MAX_MS: Final = 253_402_300_799_999
"""Unix milliseconds: the end of the year 9999, the last that RFC 3339 can write."""

# codec
CBOR_DEPTH_MAX: Final = 16
CBOR_SIZE_MAX_BYTES: Final = 4 << 20

# cid
CID_SIZE_MAX_BYTES: Final = 128
CID_TEXT_SIZE_MAX_CHARS: Final = 256

# membership
REPLICAS_MAX: Final = 128
MAINTAINERS_MAX: Final = 256

# signing
MAINTAINER_NAME_MAX_CHARS: Final = 100
SCHEME_NAME_MAX_CHARS: Final = 64
INTENT_NONCE_SIZE_BYTES: Final = 16
INTENT_LIFETIME_MAX_MS: Final = 400 * 86_400_000
"""An intent's digest is remembered until it expires, so that expiry must be in sight."""
OPERATION_SIZE_MAX_BYTES: Final = 64 << 10
INTENT_SIZE_MAX_BYTES: Final = OPERATION_SIZE_MAX_BYTES + 256
KEY_FILE_SIZE_MAX_BYTES: Final = 64 << 10
KEY_FILE_NOTE_MAX_CHARS: Final = 200
PUBLIC_KEY_FILE_SIZE_MAX_BYTES: Final = 4096
KDF_PASSES_MAX: Final = 10
KDF_MEMORY_MIN_BYTES: Final = 8 << 20
KDF_MEMORY_MAX_BYTES: Final = 1 << 30

# signing.threshold
SCALAR_SIZE_BYTES: Final = 32
G1_SIZE_BYTES: Final = 48
G2_SIZE_BYTES: Final = 96
ENTROPY_MIN_BYTES: Final = 32
HOLDERS_MAX: Final = REPLICAS_MAX
"""Who holds shares of a group key: the voters of an epoch, or fewer."""
REGISTRATION_SIZE_MAX_BYTES: Final = 320
DEALING_SIZE_MAX_BYTES: Final = 12 << 10
"""At most HOLDERS_MAX commitments of 50 bytes and as many sealed shares of 34, encoded."""
COMPLAINT_SIZE_MAX_BYTES: Final = 128
PARTIAL_SIZE_MAX_BYTES: Final = 128
GROUP_KEY_SIZE_MAX_BYTES: Final = 8 << 10

# ledger
PIN_NAME_MAX_CHARS: Final = 255
PIN_METADATA_MAX: Final = 64
PIN_METADATA_KEY_MAX_CHARS: Final = 128
PIN_METADATA_VALUE_MAX_CHARS: Final = 1024
PIN_ORIGINS_MAX: Final = 20
PIN_REPLICATION_MAX: Final = 1000
PIN_REPLICATION_MIN_DEFAULT: Final = 2
PIN_REPLICATION_MAX_DEFAULT: Final = 3
"""Of a cluster that says nothing else; where there are fewer peers, as many as there are."""
PIN_BLOCKS_MAX: Final = 1 << 20
"""Whose CIDs a pin can name in one root: 256 GiB in chunks of 256 KiB; larger DAGs are pinned
without, or in larger chunks."""
PIN_TAGS_MAX: Final = 8
"""That a pin requires of its holders, and as many that it prefers."""
PIN_DOMAINS_MIN_MAX: Final = 1000
AGE_RULES_MAX: Final = 8
AGED_ROWS_MAX: Final = 100
"""Pins that are looked at after one batch when rules by age have changed, and before it of those
that came of age."""
SPREAD_VALUES_MAX: Final = 16
"""Of a tag that copies are spread over: so many of one pin are told apart by it, at most."""
PIN_USER_ALLOCATIONS_MAX: Final = 1000
MULTIADDR_MAX_CHARS: Final = 256
PEER_NAME_MAX_CHARS: Final = 100
PEER_ADDRESSES_MAX: Final = 16
PEER_TAGS_MAX: Final = 16
PEER_TAG_MAX_CHARS: Final = 64
PEER_PLACE_MAX_CHARS: Final = 100
"""Of a peer's domain, and of its operator."""
PEER_CAPACITY_MAX_BYTES: Final = 1 << 60
PEERS_MAX: Final = 1000
"""Each peer keeps a link to each: fewer than LINKS_MAX, which has room for those that just left.
Light peers, to whom only relays have links, are not counted."""
LIGHT_PEERS_MAX: Final = 10_000
"""Admitted light peers: each is a row that every period judges, and may rewrite."""
INVITES_MAX: Final = 1000
"""Invitations that have not expired."""
INVITE_USES_MAX: Final = 256
"""Peers that one invitation lets in: its row names them."""
INVITATION_RELAYS_MAX: Final = 8
INVITATION_TEXT_MAX_CHARS: Final = 4096
REDEMPTION_SIZE_MAX_BYTES: Final = 8 << 10
"""What somebody signs who comes, or goes."""
LEAVE_GRACE_MS: Final = 7 * 86_400_000
"""How long a peer that leaves stays at most, for its pins to be given to others."""
LEAVE_SAID_MAX_MS: Final = 3_600_000
"""How long it counts that a peer said it goes: later, it might have been let in again."""
LEAVE_SAID_AHEAD_MAX_MS: Final = 600_000
"""How far the clock of a peer that says so may be ahead of the batch that orders it."""
PERIOD_DEFAULT_MS: Final = 3_600_000
PERIOD_MIN_MS: Final = 10_000
PERIOD_MAX_MS: Final = 7 * 86_400_000
MOVES_MAX: Final = 1000
"""Peers whose pins are looked at: they are one row. With so many, nobody is removed."""
ABSENT_AFTER_MS: Final = 86_400_000
"""Who was not heard for so long holds nothing that counts. Like what else takes days, as long as
the genesis says a day is: ``reputation/terms``."""
ABSENT_NOTED_MAX: Final = 16
"""Peers whose absence one batch notes."""
GONE_AFTER_MS: Final = 30 * 86_400_000
"""Who was not heard for so long and does not vote leaves."""
GONE_NOTED_MAX: Final = 16
"""Peers that leave so when a period begins."""
JUDGED_PER_BATCH_MAX: Final = 64
"""Peers that one batch judges and weighs for a period that began."""
EVICTED_PER_BATCH_MAX: Final = 16
"""Of those that are to be evicted in a period, how many one batch evicts."""
LIGHT_HEARD_PERIODS: Final = 12
"""For how many periods it counts that a light peer was heard: it says so three times in them."""
SILENCE_MS: Final = 43_200_000
"""Where nothing was ordered for so long, nobody could be heard: twice what peers may wait before
they announce themselves again."""
REPAIRED_ROWS_MAX: Final = 16
"""Pins with too few live copies that are looked at after one batch."""
REPAIR_RATE_BYTES_PER_S: Final = 4 << 20
"""How much of what others lost one peer is given: as much in a period as this makes, and the rest
of the pin that comes to it."""
REPAIR_WITHOUT_HASTE_PARTS: Final = 4
"""For what suspended peers still have, a peer is given so many times less of it."""
REPAIR_PIN_MIN_BYTES: Final = 1 << 20
"""What a pin counts at least: of many nobody knows the size."""
REPAIR_CANDIDATES_SPARE: Final = 8
"""Drawn besides, in the place of those that had their part of the period."""
REPAIRS_LISTED_MAX: Final = 1000
"""Pins that wait for repair, in one answer: what is behind them changes while it is read."""
REPAIR_ABSENT_KEPT_MAX: Final = 8
"""Absent holders that a repaired pin keeps, in case they come back."""
COUNTER_AHEAD_MAX_MS: Final = 86_400_000
"""How far a peer's counter, which is unix time, may be ahead of the batch that orders it: one that
came to the end of the numbers could never announce anything again."""
REPORT_ENTRIES_MAX: Final = 1000
REPORT_ERROR_MAX_BYTES: Final = 128
PROPOSALS_PER_MAINTAINER_MAX: Final = 10_000
PROPOSALS_SIZE_PER_MAINTAINER_MAX_BYTES: Final = 64 << 20
"""Of the intents of one maintainer's open proposals."""
REJECTED_PER_MAINTAINER_MAX: Final = 20_000
"""Rejected proposals of one maintainer whose intents have not expired: a small row each."""
PROPOSALS_PER_HOUR_MAX: Final = 20_000
"""Of one maintainer, those that were executed left out."""
PROPOSALS_SIZE_PER_HOUR_MAX_BYTES: Final = 128 << 20
PEER_REQUESTS_PER_HOUR_MAX: Final = 60_000
"""Joins and reports of one peer: one who hurries a change of members makes 45,000."""
PEER_SIZE_PER_HOUR_MAX_BYTES: Final = 32 << 20
"""Of one peer, first reports about pins left out."""
SHARE_USED_UP_PACE_MS: Final = 60_000
"""How often one whose share of an hour is used up is heard all the same."""
COMING_MEMORY_MAX_BYTES: Final = 8 << 20
"""Names of proposals that came and were not executed yet."""
TRIED_MEMORY_MAX_BYTES: Final = 1 << 20
"""Intents that were refused, and may be tried again."""
TRIED_AGAIN_PACE_MS: Final = 60_000
"""How often such an intent is tried again, whoever asks for it, and with whichever request."""
SEEN_INTENTS_MAX: Final = 131_072
"""Of each of two generations: at 2,500 pins a second, the last minute or two."""
SWEEP_ROWS_MAX: Final = 1000
"""Expired rows removed after one batch: more than a batch can add."""
SWEEP_INTERVAL_MS: Final = 1000
MOVED_ROWS_MAX: Final = 100
"""Pins looked at after one batch, of one peer that left, is absent or is back."""
STATE_WANTS_MAX: Final = 256
"""Nodes of the state's tree, and as many rows, that one request of a state transfer asks for."""
STATE_FETCH_SIZE_MAX_BYTES: Final = 160 << 10
"""One request of a state transfer: that many paths and keys, of the greatest length."""
STATE_REMEMBERED_SIZE_BYTES: Final = 32 << 20
"""Nodes, and as many bytes of rows, of earlier targets of a state transfer; beyond that, those of
all but the last one are forgotten."""
STATE_REQUESTS_MAX: Final = 8
"""Requests of a state transfer under way at once, one to each of as many sources: with their
answers, which are frames, that bounds what waits to be looked at."""
STATE_ANSWER_SIZE_BYTES: Final = 1 << 20
"""Nodes and rows in one answer: no more of them once they would pass this together."""
STATE_ROW_SIZE_MAX_BYTES: Final = 3 << 20
"""A row that is larger fits no frame: only the genesis can be, and every peer has that."""
EARLIER_CHECKPOINTS_MAX: Final = 4
"""Checkpoints before the last one whose state can still be fetched: as many as a window has."""
HINT_FETCH_SIZE_MAX_BYTES: Final = 32
AUDIT_HINT_SIZE_MAX_BYTES: Final = 256
"""A number, a seed and a CID."""
HINTS_PER_ANSWER_MAX: Final = 64
"""Duties that one question of a light peer is told of."""
HINTS_MAX: Final = 1_024
"""Pins that a light peer fetches on the word of relays alone: all of them are approved."""
DUTIES_LIGHT_MAX: Final = 100_000
"""Duties that a light peer takes: their rows are some 10 MB, and it keeps them in memory."""
LIGHT_MEMORY_SIZE_MAX_BYTES: Final = 64 << 20
"""What a light peer keeps on its disk beside its blocks."""
HANDED_IN_EVERY_MS: Final = 5_000
"""How often a relay submits what light peers hand in: together, so that it makes one batch."""
HANDED_UNDER_WAY_MAX: Final = 16
"""Requests that a light peer has handed in and heard nothing of yet."""
EPOCH_LINKS_MAX: Final = 64
"""Links between epochs in one answer."""
EPOCH_SOURCES_MAX: Final = 16
"""Peers asked for them at once: each answer is a frame."""
EPOCH_FETCH_SIZE_MAX_BYTES: Final = 16
PROOF_SIZE_MAX_BYTES: Final = 64 << 10
PROPOSALS_MEMORY_MAX_BYTES: Final = 4 << 20
"""Proposals that are kept decoded while they collect approvals."""
VERIFIED_MEMORY_MAX_BYTES: Final = 48 << 20
"""Requests that are remembered as checked between arrival and execution."""
VERIFIED_LARGE_MEMORY_MAX_BYTES: Final = 12 << 20
"""Of them, those of more than some kilobytes."""

# audits
AUDIT_DAY_DEFAULT_MS: Final = 86_400_000
AUDIT_DAY_MIN_MS: Final = 10_000
"""Demonstrations audit as often in such a time as others in a day; no day is shorter."""
AUDITS_PER_DAY: Final = 1
"""How often an active peer is drawn; other holders of the same pin are audited with it."""
AUDITS_PER_DAY_CANDIDATE: Final = 10
AUDITS_DRAWN_MAX: Final = 16
"""Of one peer in a period: a period of 7 days draws a candidate no more often."""
AUDITS_DRAWN_PEERS_MAX: Final = 64
"""Peers for whom one batch draws lots, and audits that are over that it looks at again."""
AUDITS_OPEN_MAX: Final = 4096
"""At once, of all peers."""
AUDITS_PER_PEER_MAX: Final = 16
"""At once that one peer takes part in: who never answers has no more rows than that."""
AUDIT_PEERS_MAX: Final = 5
"""Holders of a pin that are asked for the same blocks."""
AUDIT_LINES_MAX: Final = 64
"""What one request says of audits."""
AUDITS_ASKED_MAX: Final = 3
"""How often suspects of one audit are asked, over an audit day."""
AUDIT_WINDOW_MIN_MS: Final = 5_000
AUDIT_WINDOW_MAX_MS: Final = 450_000
"""For pledges, and then for answers: an eighth of a period, within these."""
AUDIT_SIGHT_MIN_MS: Final = 20_000
AUDIT_SIGHT_MAX_MS: Final = 1_800_000
"""For voters to read from suspects: half a period, within these."""
AUDIT_VERDICTS_KEPT_MAX: Final = 8
"""Of each peer, the last; and as many of those that did not pass."""
AUDIT_SEARCH_ROWS_MAX: Final = 16
"""Pins that are looked through for one that everybody keeps."""
AUDITED_AGAIN_PERMILLE: Final = 50
"""Of audits in which all agreed, those in which voters look for themselves all the same."""
AUDITS_LISTED_MAX: Final = 1000

# reputation
REPUTATIONS_KEPT_MAX: Final = 1000
"""Of peers that left: each was admitted by enough maintainers."""
REPUTATION_SIZE_MAX_BYTES: Final = 512
"""What is kept about a peer: three tracks, and where it stands."""
EVICTED_CAPACITY_MAX_PERCENT: Final = 1
"""Of all approved capacity, what is evicted in one period, though one peer may always go."""

# pbft
REQUEST_SIZE_MAX_BYTES: Final = 256 << 10
HANDED_SIZE_MAX_BYTES: Final = REQUEST_SIZE_MAX_BYTES + 64
"""A request in a frame between a light peer and its relay."""
BATCH_REQUESTS_MAX: Final = 100
BATCH_SIZE_MAX_BYTES: Final = 2 << 20
BATCH_SHARE_MAX_BYTES: Final = 256 << 10
"""What one sender may have in a batch: some tens of milliseconds to check and to execute."""
UNEXECUTED_SIZE_MAX_BYTES: Final = 512 << 10
"""Of batches on their way: a request waits for all of them, which take some tenths of a second."""
SLOTS_IN_FLIGHT_MAX: Final = 8
UNDECIDED_TIMES_MAX: Final = 4
"""A backup that lags accepts so many times what an honest primary has under way."""
CHECKPOINT_INTERVAL_SEQS: Final = 128
WINDOW_SIZE_SEQS: Final = 512
POOL_REQUESTS_MAX: Final = 10_000
POOL_SIZE_MAX_BYTES: Final = 2 * (REPLICAS_MAX + 1) * REQUEST_SIZE_MAX_BYTES
"""An equal part of it has room for a large request of its sender and for one that it relayed."""
POOL_DECIDED_MAX: Final = 50_000
"""Requests whose decision is remembered, at most."""
DECIDED_AGAIN_MS: Final = 10_000
"""So long after its decision a request is not ordered again, whatever the state thinks of it then:
who hands in again and again what was refused has it ordered no more often."""
DECIDED_READ_SEQS_MAX: Final = 1024
"""Log entries that are read at a start to know what was decided in that time."""
AGAIN_SIZE_MAX_BYTES: Final = 4 << 20
"""Requests of our own clients that wait for that."""
RELAYED_PER_SENDER_MAX: Final = 100
"""Requests that one voter relayed, and for which the primary is timed at once; fewer where there
are many voters, so that they have half a share of the primary's pool together."""
RELAYED_SIZE_PER_SENDER_MAX_BYTES: Final = 256 << 10
"""Bytes of them, likewise; a request that is larger than a voter's part is passed on in turn."""
GIVEN_SIZE_MAX_BYTES: Final = 512 << 10
"""Requests of its own clients that a replica gives the primary at once, beyond the first."""
RECOVERY_EPOCHS: Final = 1 << 20
"""Epochs whose numbers are multiples of this one were begun by maintainers: far more than voters
can have come to by themselves, so that none of their votes counts there."""
CERTIFICATE_SIZE_MAX_BYTES: Final = 64 << 10
"""Holds a signature of each of REPLICAS_MAX replicas."""
EPOCH_LINK_SIZE_MAX_BYTES: Final = (
    CERTIFICATE_SIZE_MAX_BYTES + REQUEST_SIZE_MAX_BYTES + PROOF_SIZE_MAX_BYTES
)
SIGNATURE_CACHE_MAX: Final = 16_384
STASH_FRAMES_MAX: Final = 2_048
"""Frames of one sender kept for a view or window to come."""
STASH_SIZE_MAX_BYTES: Final = 4 << 20
"""Bytes of them."""
EARLY_BODIES_MAX: Final = 32
"""Batches of one primary kept before their PRE-PREPARE arrives."""
EARLY_BODIES_SIZE_MAX_BYTES: Final = 16 << 20
ENTRIES_SIZE_MAX_BYTES: Final = 3 << 20
"""Log entries in one answer."""
CLAIMS_MAX: Final = 4_096
"""Slots one VIEW-CHANGE or NEW-VIEW speaks of: more than any window."""
EVIDENCE_SIZE_MAX_BYTES: Final = 1_024
VOUCH_VOTES_MAX: Final = 4
"""Votes of the asker that one answer to its question shows."""
VOTE_FRAME_MAX_BYTES: Final = 256
STATE_HELPERS_MAX: Final = 16
"""Peers that are asked for a state without having signed it: they say that they have it."""
HEARD_MAX: Final = 256
"""Peers besides the members whose last status is remembered."""
BACKLOG_FETCHES_MAX: Final = 4
"""Answers that a replica which lags has ahead of its executor."""
LOST_STATUSES: Final = 3
"""Who hears no voter for so many intervals between statuses looks for others."""
FOLLOWERS_MAX: Final = 16_384
"""Pairs of a peer and a kind of answer whose rate is remembered."""
LOG_ENTRIES_MAX: Final = 256
LOG_READS_MAX: Final = 64
"""Followers whose log reads are under way at once; every voter may have one besides."""
FOLLOWS_HELD_MAX: Final = 4_096
"""Questions of followers that wait for the next entry."""
RECENT_ENTRIES_MAX: Final = 64
RECENT_SIZE_MAX_BYTES: Final = 2 << 20
"""Decided batches kept at hand for those who follow."""
TIMESTAMP_MAX_MS: Final = (1 << 53) - 1
COUNTER_MAX: Final = (1 << 63) - 1
"""Largest epoch, view or sequence number."""

# net
FRAME_SIZE_MAX_BYTES: Final = 4 << 20
WRITE_BATCH_SIZE_MAX_BYTES: Final = 256 << 10
NOISE_PLAINTEXT_SIZE_MAX_BYTES: Final = 65535 - 16
"""A Noise message has a 2-byte length and a 16-byte tag."""
NOISE_MESSAGES_MAX: Final = (1 << 64) - 1
"""Nonces of one direction of one session; the last is reserved (Noise specification, 5.1)."""
YAMUX_WINDOW_INITIAL_BYTES: Final = 256 << 10
"""What either side may send before the first window update (yamux specification)."""
YAMUX_WINDOW_MAX_BYTES: Final = 4 << 20
YAMUX_INBOUND_STREAMS_MAX: Final = 32
YAMUX_LANE_SIZE_MAX_BYTES: Final = 1 << 20
"""Bytes queued in a lane of a connection above which its writers wait."""
YAMUX_CONTROL_SIZE_MAX_BYTES: Final = 1 << 20
"""Replies queued for a peer that provokes them and does not read, above which it is cut off."""
LINKS_MAX: Final = 1024
CONNECTIONS_PER_PEER_MAX: Final = 4
HANDSHAKES_PENDING_MAX: Final = 256
HANDSHAKES_PENDING_PER_ADDRESS_MAX: Final = 64
HANDSHAKE_BURST_PER_ADDRESS_MAX: Final = 128
HANDSHAKES_PER_ADDRESS_PER_S: Final = 16
HANDSHAKE_READ_SIZE_MAX_BYTES: Final = 65535
"""The longest Noise message; nothing longer is read from a remote that has not proven itself."""
NEGOTIATION_SIZE_MAX_BYTES: Final = 1024
"""A multistream-select message: the name of a protocol."""
RPC_METHOD_SIZE_MAX_CHARS: Final = 64
RPC_CALLS_PENDING_MAX: Final = 4096
RPC_SERVED_PER_PEER_MAX: Final = 64
RPC_SERVED_MAX: Final = 256
RPC_ERROR_SIZE_MAX_CHARS: Final = 1024
