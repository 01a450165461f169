import tomllib
from pathlib import Path

import pytest

from bftcluster.ids import PeerId
from bftcluster.ledger.wire.peer_terms import QuotaClass
from bftcluster.ledger.wire.pin_strategy import PinStrategy
from bftcluster.signing.keys import parse_peer_id, peer_id_text
from bftcluster_cli.clusters import read_genesis
from bftcluster_cli.commands.members import HEADINGS, member_row
from bftcluster_cli.commands.peers import parse_quota, status_text
from bftcluster_cli.commands.reputations import reputation_text
from bftcluster_cli.exits import EXIT_REFUSED
from tests.unit.cli.conftest import Shell, peer_keys
from tests.unit.cli.ledger_peer import LedgerPeer

PEER_LINES = tuple(
    f"peer{i}={peer_id_text(PeerId(key.public_key))}@/ip4/10.0.0.{i}/tcp/9096;capacity=1TB"
    for i, key in enumerate(peer_keys(), 1)
)


def init(shell: Shell, *more: str, threshold: int = 2, peers: tuple[str, ...] = PEER_LINES):
    people = [
        word for name in ("alice", "bob", "carol") for word in ("--maintainer", f"{name}.pub")
    ]
    machines = [word for line in peers for word in ("--peer", line)]
    return shell(
        "cluster", "init", "--name", "archive", "--threshold", threshold, *people, *machines, *more
    )


def test_a_genesis_names_maintainers_and_peers(shell: Shell, keys: Path) -> None:
    answer = init(shell, "--rmin", "2", "--rmax", "3")

    assert answer.code == 0, answer.err
    genesis = read_genesis(keys / "genesis.cbor")
    assert answer.out == f"{genesis.cluster_id.hex()}\n"
    assert {each.name for each in genesis.policy.maintainers} == {"alice", "bob", "carol"}
    assert [each.name for each in genesis.peers] == ["peer1", "peer2", "peer3", "peer4"]
    assert (genesis.replication_min, genesis.replication_max) == (2, 3)
    assert genesis.strategy is None


def test_a_genesis_may_name_by_what_holders_are_chosen(shell: Shell, keys: Path) -> None:
    assert init(shell, "--place", "require=disk:ssd", "--place", "domains=2").code == 0

    genesis = read_genesis(keys / "genesis.cbor")
    assert genesis.strategy == PinStrategy(required=(("disk", "ssd"),), domains_min=2)
    shown = shell.ok("cluster", "show").out
    assert 'holders      all have "disk"="ssd"' in shown


def test_two_clusters_made_alike_are_not_one(shell: Shell, keys: Path) -> None:
    first = init(shell, "--output", "first.cbor").out
    second = init(shell, "--output", "second.cbor").out

    assert first != second


def test_a_genesis_is_shown(shell: Shell, keys: Path) -> None:
    init(shell)

    record = shell.ok("cluster", "show", "genesis.cbor", "--json").record
    told = shell.ok("cluster", "show", "genesis.cbor").out

    assert (record["threshold"], record["quorum"], record["faults_tolerated"]) == (2, 3, 1)
    assert "2 of 3 must approve" in told
    assert PEER_LINES[0].partition(";")[0] in told
    assert "1.0 TB, own, no domain, no operator" in told
    assert "period       1h" in told
    assert "2 to 3 peers, as far as there are so many" in told
    assert record["peers"][0]["capacity_bytes"] == 10**12


@pytest.mark.parametrize("threshold", [0, 4])
def test_an_impossible_threshold_is_refused(shell: Shell, keys: Path, threshold: int) -> None:
    answer = init(shell, threshold=threshold)

    assert answer.code == 2
    assert not (keys / "genesis.cbor").exists()


def test_what_is_allowed_and_unwise_is_said(shell: Shell, keys: Path) -> None:
    answer = init(shell, threshold=3, peers=PEER_LINES[:3])

    assert answer.code == 0
    assert "warning: with 3 peers no failure is tolerated" in answer.err
    assert "after 1 lost key nobody can decide" in answer.err


def test_a_secret_key_is_not_taken_for_a_public_one(shell: Shell, keys: Path) -> None:
    told = shell.misused(
        "cluster", "init", "--name", "x", "--threshold", 1, "--maintainer", "alice.key",
        "--peer", PEER_LINES[0],
    )  # fmt: skip

    assert "hint: pass alice.pub" in told


@pytest.mark.parametrize("line", ["peer1", "peer1=12D3", "=x@/ip4/1.2.3.4/tcp/1", "p=Qm@/ip4"])
def test_a_peer_that_is_none_is_refused(shell: Shell, keys: Path, line: str) -> None:
    assert init(shell, peers=(line,)).code == 2


def test_the_same_peer_twice_is_refused(shell: Shell, keys: Path) -> None:
    answer = init(shell, peers=(PEER_LINES[0], PEER_LINES[0]))

    assert answer.code == 2
    assert "must be distinct" in answer.err


def test_a_file_that_is_no_genesis_is_said_to_be_none(shell: Shell, keys: Path) -> None:
    told = shell.misused("cluster", "show", "alice.pub")

    assert "alice.pub is not a genesis" in told


def test_a_peer_is_made_once(shell: Shell, home: Path) -> None:
    line = ["peer", "init", "p1", "--listen", "/ip4/10.0.0.1/tcp/9096", "--json"]

    first = shell.ok(*line).record
    second = shell.ok(*line).record

    assert first == second
    name, _, rest = first["descriptor"].partition("=")
    assert name == "p1"
    parse_peer_id(rest.partition("@")[0])
    tomllib.loads((home / "p1" / "config.toml").read_text())
    assert (home / "p1" / "identity.key").stat().st_mode & 0o777 == 0o600
    assert (home / "p1").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("listen", ["/ip4/0.0.0.0/tcp/9096", "/ip6/::/tcp/9096"])
def test_an_address_that_others_cannot_reach_is_warned_about(
    shell: Shell, home: Path, listen: str
) -> None:
    warned = shell.ok("peer", "init", "p1", "--listen", listen).err
    quiet = shell.ok("peer", "init", "p2", "--listen", "/ip4/10.0.0.2/tcp/9096").err

    assert f"warning: others cannot reach {listen}" in warned
    assert "warning" not in quiet


def test_peers_and_maintainers_come_together(shell: Shell, keys: Path) -> None:
    for i in range(1, 5):
        shell.ok("peer", "init", f"p{i}", "--listen", f"/ip4/10.0.0.{i}/tcp/9096")

    assert init(shell, peers=tuple(f"p{i}/peer.txt" for i in range(1, 5))).code == 0
    answer = shell.ok("peer", "init", "p1", "--genesis", "genesis.cbor", "--json")

    assert answer.record["has_genesis"] is True
    assert (keys / "p1" / "genesis.cbor").read_bytes() == (keys / "genesis.cbor").read_bytes()


def test_a_peer_that_is_not_in_the_genesis_is_refused(shell: Shell, genesis: Path) -> None:
    answer = shell("peer", "init", "p1", "--genesis", "genesis.cbor")

    assert answer.code == 2
    assert "does not have the peer 12D3" in answer.err
    assert not (genesis.parent / "p1" / "genesis.cbor").exists()


def test_a_peer_asks_for_its_quota_and_the_genesis_grants_what_it_names(
    shell: Shell, keys: Path
) -> None:
    for i, place in enumerate(("cellar", "attic")):
        shell.ok(
            "peer", "init", f"p{i}", "--listen", f"/ip4/10.0.0.{i}/tcp/9096", "--quota", "500GB",
            "--domain", place, "--operator", "Jane Doe",
        )  # fmt: skip
    line = (keys / "p1" / "peer.txt").read_text().strip()
    assert line.endswith(";capacity=500GB;domain=attic;operator=Jane Doe")

    other = line.replace("500GB", "2TiB;class=partner")
    assert init(shell, "--period", "10m", peers=("p0/peer.txt", other)).code == 0

    genesis = read_genesis(keys / "genesis.cbor")
    first, second = (each.terms for each in genesis.peers)
    assert (first.capacity_bytes, first.domain, first.operator) == (
        5 * 10**11,
        "cellar",
        "Jane Doe",
    )
    assert (second.capacity_bytes, second.quota_class) == (1 << 41, QuotaClass.PARTNER)
    assert (genesis.period_ms, genesis.replication_min, genesis.replication_max) == (600_000, 2, 3)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("", "how much may rest on peer1?"),
        (";capacity=much", "not a size: 'much'"),
        (";capacity=2000000TB", "a peer has at most"),
        (";capacity=1TB;class=friend", "not a class: 'friend'"),
        (";capacity=1TB;capacity=2TB", "not something to say of a peer"),
        (";capacity=1TB;colour=red", "not something to say of a peer"),
        (";capacity=1TB;domain=" + "x" * 101, "not a domain"),
        (";capacity=1TB;operator=Jane\x1b[2J", "not an operator"),
    ],
)
def test_a_peer_whose_terms_make_no_sense_is_refused(
    shell: Shell, keys: Path, said: str, problem: str
) -> None:
    answer = init(shell, peers=(PEER_LINES[0].partition(";")[0] + said,))

    assert answer.code == 2
    assert problem in answer.err
    assert "hint: " in answer.err
    assert not (keys / "genesis.cbor").exists()


@pytest.mark.parametrize("option", ["--domain", "--operator"])
def test_a_peer_whose_place_cannot_be_shown_is_not_made(
    shell: Shell, home: Path, option: str
) -> None:
    assert shell("peer", "init", "p1", option, "a;capacity=9TB").code == 2
    assert not (home / "p1").exists()


@pytest.mark.parametrize("period", ["9s", "8d", "often"])
def test_a_period_outside_the_limits_is_refused(shell: Shell, keys: Path, period: str) -> None:
    answer = init(shell, "--period", period)

    assert answer.code == 2
    assert not (keys / "genesis.cbor").exists()


def test_a_peer_without_a_genesis_does_not_run(shell: Shell, home: Path) -> None:
    shell.ok("peer", "init", "p1")

    told = shell.misused("peer", "run", "p1")

    assert "does not know its cluster yet" in told


@pytest.mark.parametrize("line", ["peer run nowhere", "config show nowhere"])
def test_a_directory_without_a_peer_is_said_to_have_none(shell: Shell, line: str) -> None:
    told = shell.misused(*line.split())

    assert "bftcluster peer init nowhere" in told


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--listen", "10.0.0.1:9096"),
        ("--listen", "/ip4/10.0.0.1/udp/9096"),
        ("--api", "9094"),
        ("--quota", "lots"),
        ("--quota", "0GB"),
        ("--name", "a=b"),
    ],
)
def test_an_option_that_makes_no_sense_makes_no_peer(
    shell: Shell, home: Path, option: str, value: str
) -> None:
    assert shell("peer", "init", "p1", option, value).code == 2
    assert not (home / "p1").exists()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("100GB", 100 * 10**9),
        ("1.5 TB", 1_500 * 10**9),
        ("100MiB", 100 << 20),
        ("7", 7),
        ("2tb", 2 * 10**12),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_quota(text) == size


def test_a_config_is_shown_with_its_defaults_marked(shell: Shell, home: Path) -> None:
    shell.ok("peer", "init", "p1", "--quota", "5GB")

    told = shell.ok("config", "show", "p1").out
    record = shell.ok("config", "show", "p1", "--json").record

    assert "# default" in told
    assert any(not entry["default"] for entry in record.values())


def test_a_peer_that_was_never_seen_is_said_to_be_so() -> None:
    never = {"peername": "peer4", "connected": False, "last_seen": "0001-01-01T00:00:00Z"}
    lately = never | {"last_seen": "2027-01-15T08:00:00Z"}

    assert "  peer4  DOWN, never seen" in status_text({"links": [never]}).splitlines()
    assert "  peer4  DOWN, last seen 2027-01-15T08:00:00Z" in status_text({"links": [lately]})


def test_a_member_that_is_connected_is_not_said_to_be_never_seen() -> None:
    record = {"name": "peer5", "id": "12D3", "joined": False, "votes": True}

    assert member_row(record)[-1] == "never seen"
    assert member_row(record | {"connected": True})[-1] == "has not joined yet"
    assert member_row(record | {"connected": True, "joined": True})[-1] == ""


def test_a_member_is_listed_with_what_was_approved_of_it() -> None:
    record = {
        "name": "peer5", "id": "12D3", "joined": True, "connected": True, "votes": False,
        "capacity_bytes": 10**12, "announced_bytes": 1 << 62, "used_bytes": 5 * 10**11,
        "standing": "suspended", "standing_since": "2027-01-15T08:00:00Z", "cause": "absent",
        "score": 0.999, "age_days": 40, "share": 0.125,
        "quota_class": "volunteer", "domain": "attic\x1b[2J", "operator": "",
    }  # fmt: skip

    row = dict(zip(HEADINGS, member_row(record), strict=True))

    assert (row["USED"], row["CLASS"]) == ("500 GB of 1.0 TB", "volunteer")
    assert [row[each] for each in ("STANDING", "SCORE", "AGE", "SHARE")] == [
        "suspended", "99.9%", "40 d", "12.5%",
    ]  # fmt: skip
    assert row[""] == "suspended since 2027-01-15T08:00:00Z: it was absent too often"
    assert (row["DOMAIN"], row["OPERATOR"]) == ('"attic\\x1b[2J"', "-")


def test_the_peers_are_listed_under_either_noun(shell: Shell, peer: LedgerPeer) -> None:
    listed = shell.ok("peer", "ls").out

    assert listed == shell.ok("cluster", "members").out
    assert listed.splitlines()[0].split() == [heading for heading in HEADINGS if heading]
    assert listed.count("  partner  ") == 4
    assert shell.ok("peer", "ls", "--json").records[0]["capacity_bytes"] == 1 << 40


def test_the_reputation_of_a_peer_is_shown_by_name_and_by_id(
    shell: Shell, peer: LedgerPeer
) -> None:
    founder = next(iter(peer.names))

    told = shell.ok("reputation", "show", peer_id_text(founder)).out
    record = shell.ok("reputation", "show", peer_id_text(founder), "--json").record

    assert told.splitlines()[1].startswith("standing      active since ")
    assert "because       the genesis names it (batch 0, " in told
    assert "windows       none of 12 hours is over" in told
    assert record["standing"] == "active"
    assert record["cause_evidence"] == {"digest": peer.genesis_of.cluster_id.hex(), "seq": 0}
    assert shell.ok("reputation", "show", "peer-1").out.startswith("peer          peer-1 (")
    assert shell("reputation", "show", peer_id_text(PeerId(bytes(32)))).code == EXIT_REFUSED


def test_a_reputation_says_when_its_peer_may_return_and_how_its_windows_were() -> None:
    record = {
        "name": "", "id": "12D3", "standing": "evicted", "cause": "fraud", "windows": [0, 0.5, 1],
        "admissible_from": "2027-02-15T08:00:00Z", "evidence": "ee" * 32,
        "waits_for_eviction": False, "last_missed": {"digest": "ab" * 32, "seq": 7},
    }  # fmt: skip

    told = reputation_text(record)

    assert "peer          (left) (12D3)" in told
    assert "may return    from 2027-02-15T08:00:00Z on" in told
    assert f"CONTRADICTED ITSELF, proof {'ee' * 32}" in told
    assert "last absent (batch 7, abababababababab)" in told
    assert "windows       ▁▅█" in told


def test_a_peer_that_is_silent_says_so_on_a_line_of_its_own() -> None:
    silence = "votes are lost: there was no log of votes; silent until slot 28 is settled"

    assert f"silent     {silence}" in status_text({"silence": silence}).splitlines()
    assert "silent" not in status_text({"silence": ""})
