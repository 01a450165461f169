"""The peer's key on disk."""

import stat
from pathlib import Path

import pytest

from bftcluster.errors import KeyFileError
from bftcluster.node.process.identity import create_identity, is_unused, load_identity, note_use


def test_a_new_identity_loads_again_and_no_one_else_may_read_it(tmp_path: Path):
    path = tmp_path / "identity.key"

    key = create_identity(path)

    assert load_identity(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_identity_is_never_overwritten(tmp_path: Path):
    path = tmp_path / "identity.key"
    key = create_identity(path)

    with pytest.raises(KeyFileError, match="exists"):
        create_identity(path)

    assert load_identity(path) == key


def test_a_key_is_new_until_it_is_used_and_never_again(tmp_path: Path):
    path = tmp_path / "identity.key"
    key = create_identity(path)
    assert is_unused(path, key)

    note_use(path)

    assert not is_unused(path, key)
    with pytest.raises(KeyFileError, match="exists"):
        create_identity(path)
    assert not is_unused(path, key)


def test_the_note_of_another_key_says_nothing(tmp_path: Path):
    path = tmp_path / "identity.key"
    key = create_identity(path)
    create_identity(tmp_path / "other.key")
    note_use(path)

    (tmp_path / "other.key.unused").rename(tmp_path / "identity.key.unused")

    assert not is_unused(path, key)


def test_an_identity_that_others_can_read_is_refused_with_the_remedy(tmp_path: Path):
    path = tmp_path / "identity.key"
    create_identity(path)
    path.chmod(0o644)

    with pytest.raises(KeyFileError) as caught:
        load_identity(path)

    assert caught.value.hint == f"run `chmod 600 {path}`"


@pytest.mark.parametrize(
    "text", ["", "hello", "bftcluster-peer-identity-1 !", "\xff", "x " + "A" * 44]
)
def test_a_file_that_is_no_identity_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "identity.key"
    path.write_text(text, encoding="latin-1")
    path.chmod(0o600)

    with pytest.raises(KeyFileError):
        load_identity(path)


def test_a_missing_identity_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(KeyFileError) as caught:
        load_identity(tmp_path / "identity.key")

    assert "peer init" in caught.value.hint
