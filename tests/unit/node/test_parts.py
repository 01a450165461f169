"""Opening a peer: everything that can be wrong with its directory, each in its own words."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bftcluster.errors import (
    ClusterError,
    ConfigError,
    CorruptRecordError,
    KeyFileError,
    StorageError,
    StoreFullError,
)
from bftcluster.ids import Epoch, Seq
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.membership_rows import epoch_key, epoch_to_value
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.node.parts import CompactableWal, Parts, open_parts
from bftcluster.node.process.config import Config
from bftcluster.node.process.identity import create_identity
from bftcluster.pbft import CheckpointCertificate, EpochStart
from bftcluster.pbft.records import BodyKept, Started
from bftcluster.pbft.steps import Append
from bftcluster.signing.keys import SigningKey
from bftcluster.sync.epoch_proofs import EpochLink
from tests.unit.ledger.world import PEERS, World, genesis_of
from tests.unit.pbft.builders import members

BODY = b"x" * 5000


def config_of(directory: Path, **storage: object) -> Config:
    return Config.from_values(directory, {"storage": {"quota": "64MB", **storage}})


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return create_identity(tmp_path / "identity.key")


@pytest.fixture
def genesis(tmp_path: Path, key: SigningKey) -> Genesis:
    genesis = genesis_of(peers=[key, *PEERS[:3]])
    (tmp_path / "genesis.cbor").write_bytes(genesis.to_bytes())
    return genesis


def opened(directory: Path, look: Callable[[Parts], object] = lambda _: None, **storage: object):
    with open_parts(config_of(directory, **storage)) as parts:
        return look(parts)


def refusal(directory: Path, kind: type[ClusterError], **storage: object) -> ClusterError:
    with pytest.raises(kind) as caught:
        opened(directory, **storage)
    return caught.value


def add_votes(directory: Path) -> Path:
    """Give the peer a log of two batches that it holds, the last one large; return its file."""

    def add(parts: Parts) -> None:
        for seq, body in enumerate((b"y", BODY), start=1):
            parts.wal.append([BodyKept(Seq(seq), body).to_bytes()])

    opened(directory, add)
    return directory / "wal" / "votes.wal"


def add_unknown(parts: Parts) -> None:
    parts.wal.append([b"a vote of a later version"])


def test_a_new_peer_opens_with_the_genesis_state_and_again_after(tmp_path: Path, genesis: Genesis):
    for _ in range(2):
        position, peers = opened(
            tmp_path,
            lambda parts: (parts.store.position(), len(queries.peers(parts.store))),
        )
        assert (position, peers) == (Seq(0), 4)


def test_without_an_identity_it_says_how_to_make_one(tmp_path: Path, genesis: Genesis):
    (tmp_path / "identity.key").unlink()

    error = refusal(tmp_path, KeyFileError)

    assert "no identity" in str(error)
    assert "peer init" in error.hint


def test_an_identity_that_others_can_read_is_refused(tmp_path: Path, genesis: Genesis):
    (tmp_path / "identity.key").chmod(0o644)

    assert "chmod 600" in refusal(tmp_path, KeyFileError).hint


def test_without_a_genesis_it_says_where_it_comes_from(tmp_path: Path, key: SigningKey):
    error = refusal(tmp_path, ConfigError)

    assert "no genesis" in str(error)
    assert "cluster init" in error.hint


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"", lambda data: data + b"x"]
)
def test_a_damaged_genesis_is_refused(
    tmp_path: Path, genesis: Genesis, damage: Callable[[bytes], bytes]
):
    (tmp_path / "genesis.cbor").write_bytes(damage(genesis.to_bytes()))

    assert "is not a genesis" in str(refusal(tmp_path, ConfigError))


def test_a_peer_that_the_genesis_does_not_name_opens_and_has_no_vote(
    tmp_path: Path, key: SigningKey
):
    (tmp_path / "genesis.cbor").write_bytes(genesis_of().to_bytes())

    is_member = opened(
        tmp_path, lambda parts: parts.replica.me in parts.replica.membership.replicas
    )

    assert not is_member


def test_the_ledger_of_another_cluster_is_refused(
    tmp_path: Path, key: SigningKey, genesis: Genesis
):
    opened(tmp_path)
    other = genesis_of(peers=[key, *PEERS[:3]], nonce=b"n" * 32)
    (tmp_path / "genesis.cbor").write_bytes(other.to_bytes())

    assert "cluster" in str(refusal(tmp_path, ClusterError))


def test_a_quota_too_small_for_anything_is_refused(tmp_path: Path, genesis: Genesis):
    error = refusal(tmp_path, ClusterError, quota="1KB")

    assert isinstance(error, ConfigError | StoreFullError)
    assert "quota" in f"{error} {error.hint}"


def test_a_second_opening_of_one_directory_is_refused(tmp_path: Path, genesis: Genesis):
    def again(_: Parts) -> None:
        error = refusal(tmp_path, ConfigError)
        assert "in use by process" in str(error)
        assert "one directory is one peer" in error.hint

    opened(tmp_path, again)


def test_a_torn_last_vote_is_cut_off_and_the_peer_opens(tmp_path: Path, genesis: Genesis):
    wal = add_votes(tmp_path)
    wal.write_bytes(wal.read_bytes()[:-10])

    opened(tmp_path)

    size_after = wal.stat().st_size
    opened(tmp_path)
    assert wal.stat().st_size == size_after


def test_a_record_that_this_version_does_not_know_is_refused(tmp_path: Path, genesis: Genesis):
    opened(tmp_path, add_unknown)

    assert "newer version" in refusal(tmp_path, CorruptRecordError).hint


def test_damage_in_the_middle_of_the_votes_is_refused(tmp_path: Path, genesis: Genesis):
    wal = add_votes(tmp_path)
    data = bytearray(wal.read_bytes())
    data[len(data) - len(BODY) - 60] ^= 0xFF
    wal.write_bytes(data)

    error = refusal(tmp_path, CorruptRecordError)

    assert "votes.wal: damaged at byte" in str(error)
    assert "rejoin under a new key" in error.hint
    assert wal.read_bytes() == data


def silence(directory: Path) -> object:
    return opened(directory, lambda parts: parts.replica.silence)


def test_a_new_key_has_forgotten_nothing(tmp_path: Path, genesis: Genesis):
    assert silence(tmp_path) == ""
    assert silence(tmp_path) == ""


@pytest.mark.parametrize("is_all_gone", [False, True], ids=["votes", "votes and ledger"])
def test_a_used_key_without_its_log_is_silent_and_says_why_in_later_lives_too(
    tmp_path: Path, genesis: Genesis, is_all_gone: bool
):
    add_votes(tmp_path).unlink()
    if is_all_gone:
        for file in tmp_path.glob("ledger.db*"):
            file.unlink()

    def start(parts: Parts) -> str:
        for step in parts.replica.start(now_ms=0, wall_ms=0).steps:
            if isinstance(step, Append):
                parts.wal.append(step.records)
        return parts.replica.silence

    assert "there was no log of votes" in str(opened(tmp_path, start))
    assert "there was no log of votes" in str(silence(tmp_path))


def test_a_copy_of_the_key_alone_is_no_new_key(tmp_path: Path, genesis: Genesis):
    opened(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    for name in ("identity.key", "genesis.cbor"):
        (other / name).write_bytes((tmp_path / name).read_bytes())
    (other / "identity.key").chmod(0o600)

    assert "there was no log of votes" in str(silence(other))


def test_a_start_that_dies_before_it_notes_the_use_of_its_key_is_a_birth_still(
    tmp_path: Path, genesis: Genesis
):
    note = tmp_path / "identity.key.unused"
    born = note.read_bytes()
    opened(tmp_path, lambda parts: parts.wal.rewrite([]))
    note.write_bytes(born)

    assert silence(tmp_path) == ""
    assert not note.exists()


def test_a_database_that_is_none_is_refused(tmp_path: Path, genesis: Genesis):
    (tmp_path / "ledger.db").write_bytes(b"this is no database" * 1000)

    assert str(refusal(tmp_path, StorageError))


def test_a_rewritten_log_opens_again(tmp_path: Path, genesis: Genesis):
    def rewrite(parts: Parts) -> None:
        assert isinstance(parts.wal, CompactableWal)
        parts.wal.append([b"old"])
        parts.wal.rewrite([])

    opened(tmp_path, rewrite)

    opened(tmp_path)


def test_without_fsync_it_still_opens_what_it_wrote(tmp_path: Path, genesis: Genesis):
    def append(parts: Parts) -> None:
        parts.wal.append([b"vote"])
        parts.wal.rewrite([])

    opened(tmp_path, append, fsync=False)

    opened(tmp_path, fsync=False)


def test_a_state_that_was_fetched_is_installed_when_the_peer_opens(
    tmp_path: Path, genesis: Genesis, key: SigningKey
):
    world = World(genesis)
    while world.ledger.head.seq < genesis.checkpoint_interval:
        world.run()
    root = world.ledger.checkpoint_root()
    assert root is not None
    seq = world.ledger.head.seq
    certificate = CheckpointCertificate(Epoch(0), seq, root, ()).to_bytes()

    def fetch(parts: Parts) -> None:
        parts.wal.append([Started(genesis.cluster_id, parts.replica.me).to_bytes()])
        parts.store.stage.flush(world.store.rows(), (seq, certificate))

    opened(tmp_path, fetch)

    for _ in range(2):
        assert opened(
            tmp_path,
            lambda parts: (
                parts.store.position(),
                parts.ledger.head,
                parts.ledger.checkpoint_root(),
                parts.replica.stable,
                parts.replica.last_executed,
            ),
        ) == (seq, world.ledger.head, root, seq, seq)


def test_a_peer_that_opens_again_knows_who_votes_in_epochs_that_were_proved_to_it(
    tmp_path: Path, genesis: Genesis
):
    start = EpochStart(Seq(2 * genesis.checkpoint_interval + 1), members(5, 1))
    link = EpochLink(certificate=b"verified", row=epoch_to_value(start), proof=b"before it is kept")
    row = (Space.EPOCH_LINK, epoch_key(start.membership.epoch))

    opened(tmp_path, lambda parts: parts.store.flush({row: link.to_bytes()}, [], Seq(0)))

    assert opened(tmp_path, lambda parts: parts.replica.latest_membership) == start.membership
    assert opened(tmp_path, lambda parts: parts.replica.membership) == genesis.membership()
