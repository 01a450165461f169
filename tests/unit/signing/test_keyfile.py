import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from bftcluster import codec
from bftcluster.errors import KeyFileError
from bftcluster.signing.keyfile import Strength, read_header, seal, unseal
from tests.unit.signing.people import ALICE

SALT, NONCE = b"s" * 16, b"n" * 24


def sealed(passphrase: bytes = b"correct horse", note: str = "alice's laptop") -> bytes:
    return seal(
        ALICE.seed,
        passphrase,
        kind="maintainer",
        public=ALICE.public_key,
        note=note,
        salt=SALT,
        nonce=NONCE,
        strength=Strength.INTERACTIVE,
    )


BLOB = sealed()


def changed(index: int, value: object) -> bytes:
    """A key file with one item of its header replaced, as an attacker would write it."""
    header, nonce, ciphertext = codec.decode(BLOB)
    items = codec.decode(header)
    items[index] = value
    return codec.encode([codec.encode(items), nonce, ciphertext])


def test_a_key_comes_back_with_the_right_passphrase() -> None:
    opened = unseal(BLOB, b"correct horse")

    assert (opened.kind, opened.public, opened.note) == (
        "maintainer",
        ALICE.public_key,
        "alice's laptop",
    )
    assert opened.secret == ALICE.seed


def test_the_secret_does_not_show_when_printed() -> None:
    assert ALICE.seed.hex() not in repr(unseal(BLOB, b"correct horse"))
    assert "secret" not in repr(unseal(BLOB, b"correct horse"))


def test_an_empty_passphrase_is_a_passphrase() -> None:
    assert unseal(sealed(b""), b"").secret == ALICE.seed


def test_the_wrong_passphrase_is_told_with_a_hint() -> None:
    with pytest.raises(KeyFileError, match="wrong passphrase") as caught:
        unseal(BLOB, b"battery staple")

    assert "backup" in caught.value.hint


def test_the_header_is_readable_without_the_passphrase() -> None:
    header = read_header(BLOB)

    assert (header.kind, header.public, header.note) == (
        "maintainer",
        ALICE.public_key,
        "alice's laptop",
    )
    assert header.memory_bytes == 64 << 20


@pytest.mark.parametrize(("index", "value"), [(2, "peer"), (3, bytes(32)), (4, "bob's")])
def test_a_changed_header_breaks_the_seal(index: int, value: object) -> None:
    with pytest.raises(KeyFileError, match="was changed"):
        unseal(changed(index, value), b"correct horse")


@pytest.mark.parametrize(
    ("index", "value", "reason"),
    [
        (0, "other-file", "not a key file"),
        (1, 2, "another version: 2"),
        (5, "scrypt", "scrypt"),
        (9, "rot13", "rot13"),
        (6, 0, "0 passes"),
        (6, 11, "11 passes"),
        (7, 1 << 20, "in 1048576 bytes"),
        (7, 1 << 40, "in 1099511627776 bytes"),
        (8, b"salt", "salt of 4 bytes"),
        (6, "many", "shape"),
    ],
)
def test_a_hostile_header_costs_no_memory(index: int, value: object, reason: str) -> None:
    with pytest.raises(KeyFileError, match=reason):
        unseal(changed(index, value), b"correct horse")


@pytest.mark.parametrize("cut", [0, 1, 100, len(BLOB) - 1])
def test_a_truncated_file_is_no_key_file(cut: int) -> None:
    with pytest.raises(KeyFileError, match="not a key file"):
        unseal(BLOB[:cut], b"correct horse")


@pytest.mark.parametrize("part", [1, 2])
def test_a_changed_nonce_or_ciphertext_breaks_the_seal(part: int) -> None:
    items = codec.decode(BLOB)
    items[part] = bytes(len(items[part]))

    with pytest.raises(KeyFileError, match="wrong passphrase"):
        unseal(codec.encode(items), b"correct horse")


@pytest.mark.parametrize("part", [1, 2])
def test_a_nonce_or_ciphertext_that_is_too_short_is_no_key_file(part: int) -> None:
    items = codec.decode(BLOB)
    items[part] = b"short"

    with pytest.raises(KeyFileError, match="truncated"):
        unseal(codec.encode(items), b"correct horse")


def test_a_note_longer_than_a_note_is_refused() -> None:
    with pytest.raises(KeyFileError, match="at most 200 characters"):
        sealed(note="x" * 201)


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Lets the process grow by 256 MiB, no more."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.usefixtures("little_memory")
def test_too_little_memory_for_the_passphrase_is_told_as_such() -> None:
    with pytest.raises(KeyFileError, match="no 1024 MiB of memory"):
        unseal(changed(7, 1 << 30), b"correct horse")
