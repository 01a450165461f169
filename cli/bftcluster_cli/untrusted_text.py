"""How text that somebody else chose is shown to people: no character of it passes for ours.

Names, metadata, origins, tags, addresses and messages come from proposers, peers and whoever they
talked to. Every printer takes them through here.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

from bftcluster.visible import escaped, visible, visible_chars

LABEL_MAX_COLUMNS: Final = 40
VALUE_MAX_COLUMNS: Final = 62
"""With a label of ours before it, well inside the 80 columns of the narrowest usual screen."""
MESSAGE_MAX_CHARS: Final = 500

_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+@/")
_ALPHABETS: Final = frozenset(
    {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "GEORGIAN", "OSAGE"}
    | {"DESERET", "FULLWIDTH", "MATHEMATICAL", "SCRIPT", "BLACK-LETTER", "DOUBLE-STRUCK"}
)
"""First words of the names of letters that look like letters of another alphabet."""
_WORDS_WARNED_MAX: Final = 4
_WORD_MAX_CHARS: Final = 12


def label(text: str, *, columns: int = LABEL_MAX_COLUMNS) -> str:
    """Return a name for use inside a line: as it is if it cannot be misread, else quoted."""
    is_plain = 0 < len(text) <= columns and _PLAIN.issuperset(text)
    return text if is_plain else quoted(text, columns)


def quoted(text: str, columns: int = VALUE_MAX_COLUMNS) -> str:
    """Return ``text`` in quotes, in at most so many columns; cut, it says how long it is."""
    pieces = list(_pieces(text))
    if sum(map(_width, pieces)) + 2 <= columns:
        return f'"{"".join(pieces)}"'
    end = f'…" ({len(text):,} characters)'
    room = columns - len(end) - 2  # the ellipsis may be two columns wide
    kept = []
    for piece in pieces:
        room -= _width(piece)
        if room < 0:
            break
        kept.append(piece)
    return f'"{"".join(kept)}{end}'


def message(text: str) -> str:
    """Return what a peer said in words, as part of a line of ours."""
    shown = visible(text[:MESSAGE_MAX_CHARS])
    more = len(text) - MESSAGE_MAX_CHARS
    return shown if more <= 0 else f"{shown}… ({len(text):,} characters)"


def cautions(texts: Iterable[str]) -> list[str]:
    """Return what a reader should know of look-alike letters in ``texts``, a line for each word."""
    found = [found for text in texts for word in _words(text) if (found := _caution(word))]
    lines = list(dict.fromkeys(found))
    more = len(lines) - _WORDS_WARNED_MAX
    return lines if more <= 0 else [*lines[:_WORDS_WARNED_MAX], f"{more} more words like that"]


def _pieces(text: str) -> Iterator[str]:
    """Yield what is shown for each character; spaces that could align something are escaped."""
    pieces = list(visible_chars(text))
    for at, piece in enumerate(pieces):
        is_inner = 0 < at < len(pieces) - 1 and pieces[at - 1] != " "
        if piece == " " and not is_inner:
            yield escaped(" ")
        elif piece in ('"', "\\"):
            yield f"\\{piece}"
        else:
            yield piece


def _width(piece: str) -> int:
    """Return how many columns a piece takes, at most."""
    return sum(2 if unicodedata.east_asian_width(char) in "WFA" else 1 for char in piece)


def _words(text: str) -> Iterator[str]:
    word = ""
    for char in text:
        if unicodedata.category(char)[0] in "LM":
            word += char
        else:
            yield word
            word = ""
    yield word


def _caution(word: str) -> str:
    alphabets = {name for char in word if (name := _alphabet(char)) in _ALPHABETS}
    if len(alphabets) < 2:
        return ""
    shown = "".join(char if char.isascii() else escaped(char) for char in word[:_WORD_MAX_CHARS])
    rest = "…" if len(word) > _WORD_MAX_CHARS else ""
    names = " and ".join(name.capitalize() for name in sorted(alphabets)[:3])
    return f"{shown}{rest} mixes {names} letters"


def _alphabet(char: str) -> str:
    return unicodedata.name(char, "").partition(" ")[0]
