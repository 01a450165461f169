"""Attack a live cluster of four in every way we know, and see what holds.

python -m tests.hostile.run              all attacks; the last line is one JSON object
python -m tests.hostile.run tar swarm    those whose name contains one of these words

Exit code: 0 if everything held, 1 if something broke.
"""

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tests.hostile import clients, maintainers, members, strangers, uploaders
from tests.hostile.arena import GROWTH_MAX_BYTES, ORDER_MAX_S, Arena, BrokeError, arena
from tests.hostile.attacks import ATTACKS, Actor, Attack

MODULES = (clients, maintainers, members, strangers, uploaders)
STOP_MAX_S = 5.0


def main(words: Sequence[str]) -> int:
    """Run the battery."""
    chosen = [one for one in ATTACKS if not words or any(word in one.name for word in words)]
    if not chosen:
        say(f"no attack has one of these words in its name: {' '.join(words)}")
        return 2
    begin_s = time.monotonic()
    broke: list[str] = []
    with tempfile.TemporaryDirectory(prefix="hostile-") as directory, arena(Path(directory)) as one:
        outside = one.outside()
        for attack in [each for each in chosen if each.actor is not Actor.MEMBER]:
            broke += played(one, attack)
        inside = [each for each in chosen if each.actor is Actor.MEMBER]
        if inside:
            broke += from_within(one, inside)
        broke += last_checks(one, outside)
    summary = {
        "attacks": len(chosen),
        "held": len(chosen) - sum(one.name in broke for one in chosen),
        "broke": len(broke),
        "seconds": round(time.monotonic() - begin_s, 1),
    }
    say(json.dumps(summary))
    return 1 if broke else 0


def from_within(one: Arena, attacks: Sequence[Attack]) -> list[str]:
    """Take one peer over, and play what a member can do; return which broke something."""
    broke: list[str] = []
    unplayed = list(attacks)
    try:
        with members.taken_over(one) as member:
            members.CURRENT.append(member)
            while unplayed:
                broke += played(one, unplayed.pop(0))
            members.CURRENT.clear()
    except (BrokeError, AssertionError) as exc:
        say(f"broke member     takes a peer over, and gives it back\n      {exc}")
        broke += ["a peer taken over", *(attack.name for attack in unplayed)]
    return broke


def played(one: Arena, attack: Attack) -> list[str]:
    """Play one attack; return its name if it broke something, which is told at once."""
    begin_s = time.monotonic()
    problem, order_s, grown = "", 0.0, Growth(one)
    try:
        with grown, attack.play(one):
            one.check_alive()
            order_s = max(one.order(peer.index) for peer in one.standing[:2])
            if order_s > ORDER_MAX_S:
                problem = f"ordering took {order_s:.2f} s"
        one.check_alive()
        one.check_pinsets()
    except BrokeError as exc:
        problem = str(exc)
    except Exception as exc:  # noqa: BLE001 - an attack that fails proves nothing, and is told
        problem = f"the attack itself failed: {exc!r}"
    if not problem and grown.most_bytes > GROWTH_MAX_BYTES:
        problem = f"a peer grew by {grown.most_bytes / 1e6:.0f} MB"
    say(
        f"{'broke' if problem else 'held '} {attack.actor.value:10} {attack.name}"
        f"  (ordered in {order_s * 1000:.0f} ms, +{grown.most_bytes / 1e6:.0f} MB,"
        f" {time.monotonic() - begin_s:.1f} s)"
    )
    if not problem:
        return []
    say(f"      {problem}")
    return [attack.name]


class Growth:
    """Watches how much memory peers take, from a thread of its own, while it is entered."""

    def __init__(self, one: Arena) -> None:
        self._one = one
        self._before = one.resident_bytes()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.most_bytes = 0
        """The most that any peer has grown by at any time since."""

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self._look()

    def _look(self) -> None:
        for index, now in self._one.resident_bytes().items():
            self.most_bytes = max(self.most_bytes, now - self._before.get(index, now))


def last_checks(one: Arena, outside: set[str]) -> list[str]:
    """Return what is wrong in the end: things that lie about, and peers that do not stop."""
    broke = []
    left = one.outside() - outside
    left |= {path for path in ("/tmp/bftcluster-absolute",) if os.path.lexists(path)}
    if left:
        broke.append(f"the end: outside the store lie {sorted(left)}")
    try:
        one.check_alive()
        one.check_pinsets()
        slowest_s = max(one.cluster.stop())
        if slowest_s > STOP_MAX_S:
            broke.append(f"the end: a peer took {slowest_s:.1f} s to stop")
        one.cluster.start()
        one.cluster.stop_level()
        if len(set(one.cluster.states())) != 1:
            broke.append("the end: the peers' states differ")
    except (BrokeError, AssertionError) as exc:
        broke.append(f"the end: {exc}")
    for line in broke:
        say(f"broke {line}")
    return broke


def say(text: str) -> None:
    """Print a line at once: who watches wants to see how far it is."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
