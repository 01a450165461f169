"""The word that an invitation is sent as: whoever mistypes a character is told so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftcluster.errors import UsageError
from bftcluster.ids import ClusterId, PeerId
from bftcluster.ledger.wire.invitation_text import Invitation, invitation_from_text

INVITATION = Invitation(
    cluster_id=ClusterId(b"c" * 32),
    name="archive",
    expires_ms=1_800_000_000_000,
    seed=b"s" * 32,
    relays=((PeerId(b"p" * 32), ("/ip4/192.0.2.1/tcp/9096",)),),
)
WORD = INVITATION.to_text()
CHARACTERS = st.sampled_from("abcdefghijklmnopqrstuvwxyz234567019ABCXYZ=- é")


@given(
    seed=st.binary(min_size=32, max_size=32),
    name=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=100),
    expires_ms=st.integers(1, 1 << 47),
    relays=st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=8),
    is_light=st.booleans(),
)
def test_a_word_says_what_was_put_into_it(
    seed: bytes, name: str, expires_ms: int, relays: list[bytes], is_light: bool
) -> None:
    invitation = Invitation(
        cluster_id=ClusterId(b"c" * 32),
        name=name,
        expires_ms=expires_ms,
        seed=seed,
        relays=tuple((PeerId(each), ("/dns4/a.example/tcp/1",)) for each in relays),
        is_light=is_light,
    )

    word = invitation.to_text()

    assert invitation_from_text(word) == invitation
    assert invitation_from_text(f" {word.upper()}\n") == invitation


@given(place=st.integers(0, len(WORD) - 1), other=CHARACTERS)
def test_one_wrong_character_is_noticed(place: int, other: str) -> None:
    mangled = WORD[:place] + other + WORD[place + 1 :]
    if mangled != WORD:
        with pytest.raises(UsageError):
            invitation_from_text(mangled)


@given(place=st.integers(0, len(WORD) - 1))
def test_a_missing_or_a_doubled_character_is_noticed(place: int) -> None:
    for mangled in (WORD[:place] + WORD[place + 1 :], WORD[: place + 1] + WORD[place:]):
        with pytest.raises(UsageError):
            invitation_from_text(mangled)


@given(st.text(max_size=200))
def test_what_is_none_is_refused(text: str) -> None:
    for word in (text, f"bftc1{text}"):
        with pytest.raises(UsageError):
            invitation_from_text(word)
