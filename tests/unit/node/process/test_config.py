"""The configuration: defaults, overrides, and every way of getting it wrong."""

from pathlib import Path

import pytest

from bftcluster.errors import ConfigError
from bftcluster.node.process.config import CONFIG_FILE, Config
from bftcluster.node.process.config_text import default_text, in_force


def load(tmp_path: Path, text: str) -> Config:
    (tmp_path / CONFIG_FILE).write_text(text)
    return Config.load(tmp_path)


def test_an_empty_file_means_the_defaults(tmp_path: Path):
    assert load(tmp_path, "") == Config(directory=tmp_path)


def test_the_default_text_loads_as_the_defaults_and_shows_every_key(tmp_path: Path):
    text = default_text()

    assert load(tmp_path, text) == Config(directory=tmp_path)
    for key, *_ in in_force(Config(directory=tmp_path)):
        assert f"# {key.split('.')[1]} = " in text


def test_overrides_in_the_default_text_are_active(tmp_path: Path):
    config = load(
        tmp_path,
        default_text(peer={"name": "anna"}, network={"listen": ["/ip4/127.0.0.1/tcp/0"]}),
    )

    assert config.peer.name == "anna"
    assert config.network.listen == ["/ip4/127.0.0.1/tcp/0"]
    assert [key for key, _, default, _ in in_force(config) if not default] == [
        "peer.name",
        "network.listen",
    ]


def test_sizes_are_read_with_their_unit(tmp_path: Path):
    for text, size in (("1GB", 10**9), ("1.5 MiB", 1572864), ("2TB", 2 * 10**12), ("17", 17)):
        assert load(tmp_path, f'[storage]\nquota = "{text}"').quota_bytes == size


def test_a_directory_without_a_config_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(ConfigError) as caught:
        Config.load(tmp_path)

    assert "peer init" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[peer", "is not TOML", "mend that line"),
        ("[network]\nlisten = 5", "network.listen must be a list, not a whole number", ""),
        ("[network]\nlisten = [5]", "network.listen must hold strings only", ""),
        ('[network]\nlisten = ["tcp://x"]', "is not a TCP multiaddr", "/ip4/"),
        ('[network]\nlisten = ["/ip4/::1/tcp/1"]', "is not an ip4 address", ""),
        ('[network]\nlisten = ["/ip4/1.2.3.4/tcp/99999"]', "is not a TCP multiaddr", ""),
        ('[network.addresses]\n"12D3" = ["x"]', "network.addresses.12D3", ""),
        ('[network.addresses]\n"12D3" = "x"', "must be a list", ""),
        ('[storage]\nquota = "plenty"', "is not a size", "100GB"),
        ("[storage]\nquota = true", "must be a string", ""),
        ('[storage]\nkeep_log = "1"', "is neither all nor 2 or more", ""),
        ('[storage]\nkeep_log = "-3"', "is neither all nor 2 or more", ""),
        ("[storage]\nkeep_log = 3", "must be a string", ""),
        ('[storage]\nscrub_rate = "1KB"', "is less than 64KB, and not 0", ""),
        ('[network]\nstate_rate_max = "1KB"', "is less than 64KB", ""),
        ('[network]\nstate_rate_max = "fast"', "is not a size", ""),
        ("[pbft]\nstate_fetch_behind = 0", "is not between 1 and", ""),
        ('[api]\nlisten = ["9094"]', "is not HOST:PORT", "127.0.0.1:9094"),
        ("[pbft]\nbatch_requests_max = 0", "is not between 1 and", ""),
        ("[pbft]\nbatch_request_max = 7", "unknown key in [pbft]", "did you mean"),
        ("[paxos]\n", "unknown section: 'paxos'", "known:"),
        ("peer = 3", "[peer] is a section", ""),
        ('[log]\nlevel = "loud"', "is not one of", ""),
        ('[log]\nlevels = {net = "loud"}', "log.net", ""),
        ('[log]\nformat = "xml"', "is not one of", ""),
    ],
)
def test_a_wrong_value_is_named_with_a_next_step(
    tmp_path: Path, text: str, message: str, hint: str
):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)

    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_how_much_log_is_kept_is_said_in_checkpoints(tmp_path: Path):
    assert load(tmp_path, "").log_kept_seqs(128) is None
    assert load(tmp_path, '[storage]\nkeep_log = "3"').log_kept_seqs(128) == 384


def test_the_rate_of_state_transfers_is_a_size_a_second(tmp_path: Path):
    text = '[network]\nstate_rate_max = "2MB"'
    assert load(tmp_path, text).state_rate_bytes_per_s == 2_000_000


def test_the_rate_of_the_scrub_is_a_size_a_second_or_nothing(tmp_path: Path):
    assert load(tmp_path, "").scrub_rate_bytes_per_s == 4_000_000
    assert load(tmp_path, '[storage]\nscrub_rate = "0"').scrub_rate_bytes_per_s == 0


@pytest.mark.parametrize(
    "tags",
    [
        {"region": 7},
        {"region": ""},
        {"region": "e\x1bu"},
        {"r" * 65: "eu"},
        {f"tag{number}": "x" for number in range(17)},
    ],
)
def test_tags_that_the_cluster_would_refuse_are_refused_here(
    tmp_path: Path, tags: dict[str, object]
) -> None:
    with pytest.raises(ConfigError, match=r"peer\.tags"):
        Config.from_values(tmp_path, {"peer": {"tags": tags}})
