"""A word as a QR code that a terminal can show: two rows of modules in each line."""

import io


def qr_text(word: str) -> str:
    """Return the lines of a QR code; in capitals, a word takes a smaller one."""
    import segno

    out = io.StringIO()
    segno.make(word.upper(), error="l", micro=False).terminal(out=out, compact=True)
    return out.getvalue()
