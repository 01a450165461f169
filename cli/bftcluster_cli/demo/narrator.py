"""The story as it happens, on stderr: plain sentences with the seconds since the start."""

import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bftcluster_cli.output import murmur, say


class Narrator:
    """Tells what happens and how long it took."""

    def __init__(self) -> None:
        self._begin_s = time.monotonic()
        self.chapters: dict[str, float] = {}
        """Seconds that each chapter took, by its key."""

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._begin_s

    def tell(self, sentence: str) -> None:
        """Say what has happened."""
        say(f"{self.elapsed_s:6.1f} s  {sentence}")

    def show_command(self, words: Sequence[str]) -> None:
        """Show what somebody could have typed."""
        murmur(f"{'':10}$ bftcluster {shlex.join(words)}")

    @contextmanager
    def chapter(self, key: str, title: str) -> Iterator[None]:
        """Tell one part of the story, and note how long it took."""
        say(f"\n{title}")
        begin_s = self.elapsed_s
        yield
        self.chapters[key] = round(self.elapsed_s - begin_s, 2)
