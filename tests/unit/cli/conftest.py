"""The command in a directory of its own, three maintainers' keys, and a cluster that answers."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bftcluster.ids import MaintainerId, PeerId
from bftcluster.ledger.wire.genesis import Genesis, GenesisPeer
from bftcluster.ledger.wire.peer_terms import PeerTerms
from bftcluster.signing.keyfile import Strength
from bftcluster.signing.keys import SigningKey, maintainer_text
from bftcluster.signing.policies import Policy
from bftcluster_cli.clusters import read_genesis
from bftcluster_cli.commands.cluster import parse_maintainer_option
from bftcluster_cli.keys.key_files import MAINTAINER_KIND, write_key_file, write_public_file
from bftcluster_cli.main import main
from tests.unit.cli.ledger_peer import LedgerPeer, serving

PASSPHRASE = "open sesame"
NAMES = ("alice", "bob", "carol")


@dataclass
class Answer:
    """What a run of the command left behind."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def record(self) -> dict[str, Any]:
        return self.records[-1]


class Shell:
    """Runs the command as a person would."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: object) -> Answer:
        self._capsys.readouterr()
        code = main([str(word) for word in words])
        captured = self._capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    def misused(self, *words: object) -> str:
        """Return what is said to somebody whose command makes no sense."""
        answer = self(*words)
        assert answer.code == 2, answer
        return answer.err

    def ok(self, *words: object) -> Answer:
        answer = self(*words)
        assert answer.code == 0, answer.err
        return answer


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, and nothing of the real user's."""
    for name in ("API", "KEY", "GENESIS", "PASSPHRASE", "PASSPHRASE_FILE", "DEBUG"):
        monkeypatch.delenv(f"BFTCLUSTER_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def shell(home: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


@pytest.fixture(scope="session")
def key_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: deriving a key from a passphrase is slow on purpose."""
    directory = tmp_path_factory.mktemp("keys")
    for name in (*NAMES, "mallory"):
        path = directory / f"{name}.key"
        key = write_key_file(
            path,
            kind=MAINTAINER_KIND,
            name=name,
            passphrase=PASSPHRASE.encode(),
            strength=Strength.INTERACTIVE,
        )
        text = maintainer_text(MaintainerId(key.public_key))
        write_public_file(path.with_suffix(".pub"), name=name, key=text)
    return directory


@pytest.fixture
def keys(shell: Shell, home: Path, key_files: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Key files of alice, bob, carol and mallory, and the passphrase in the environment."""
    monkeypatch.setenv("BFTCLUSTER_PASSPHRASE", PASSPHRASE)
    for path in key_files.iterdir():
        shutil.copy2(path, home)
    return home


def peer_keys() -> tuple[SigningKey, ...]:
    return tuple(SigningKey(hashlib.sha256(b"peer %d" % i).digest()) for i in range(1, 5))


def genesis_from(path: Path) -> Genesis:
    """Two of alice, bob and carol; four peers, of which three keep each pin."""
    maintainers = [parse_maintainer_option(str(path / f"{name}.pub")) for name in NAMES]
    return Genesis(
        name="archive",
        created_ms=1_700_000_000_000,
        peers=tuple(
            GenesisPeer(
                peer=PeerId(key.public_key),
                name=f"peer{i}",
                addresses=(f"/ip4/10.0.0.{i}/tcp/9096",),
                terms=PeerTerms(capacity_bytes=1 << 50),
            )
            for i, key in enumerate(peer_keys(), 1)
        ),
        policy=Policy.of(*maintainers, threshold=2),
        replication_min=3,
        replication_max=3,
        nonce=bytes(32),
    )


@pytest.fixture
def genesis(keys: Path) -> Path:
    """The cluster's genesis in a file."""
    path = keys / "genesis.cbor"
    path.write_bytes(genesis_from(keys).to_bytes())
    return path


@pytest.fixture
def peer(genesis: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LedgerPeer]:
    """A peer that answers where the command looks by default."""
    service = LedgerPeer(genesis_of=read_genesis(genesis), peer_keys=peer_keys())
    with serving(service) as running:
        monkeypatch.setenv("BFTCLUSTER_API", running.url)
        yield running
