"""Text of strangers, with every character visible that could move, hide or reorder others."""

import unicodedata
from collections.abc import Iterator
from typing import Final

_BLANK: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and marks by their category, and nothing on the screen."""
_MARKS: Final = frozenset({"Mn", "Mc", "Me"})
_MARKS_MAX: Final = 2
"""On one letter; more pile up over the lines above and below."""


def visible(text: str) -> str:
    """Return ``text`` with escapes, as in Python, for what is not to be seen as one character.

    Those are control characters (U+0080 to U+009F too), line and paragraph separators, what sets
    the direction of writing, joins or has no width, blanks other than the space, and what is
    assigned to nobody.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(visible_chars(text))


def escaped(char: str) -> str:
    """Return a character as the escape that means it."""
    number = ord(char)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def visible_chars(text: str) -> Iterator[str]:
    """Yield what stands for each character of ``text``: itself, or its escape."""
    marks = _MARKS_MAX  # none may begin the text: it would sit on a character of ours
    for char in text:
        if unicodedata.category(char) in _MARKS:
            marks += 1
            is_seen = marks <= _MARKS_MAX
        else:
            marks = 0 if char.isalpha() else _MARKS_MAX
            is_seen = True
        is_seen = is_seen and char.isprintable() and char not in _BLANK and not _is_selector(char)
        yield char if is_seen else escaped(char)


def _is_selector(char: str) -> bool:
    """Variation selectors choose between looks of one character, and carry hidden text."""
    return "\u180b" <= char <= "\u180f" or "\ufe00" <= char <= "\ufe0f" or char >= "\U000e0100"
