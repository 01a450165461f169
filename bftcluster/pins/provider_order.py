"""Whom to ask for content, and in which order."""

from collections.abc import Collection, Sequence

from bftcluster.ids import PeerId


def provider_order(
    online: Sequence[PeerId], likely: Collection[PeerId], *, attempt: int = 1
) -> list[PeerId]:
    """Return those that are online: who is likely to have it first; others first the next time.

    Args:
        online: Whom we could ask.
        likely: Who reported it, or is to hold it.
        attempt: From 1; after a failure the order is another.
    """
    assert attempt >= 1, "the first attempt is number 1"
    first = frozenset(likely)
    turn = (attempt - 1) % max(1, len(online))
    rotated = [*online[turn:], *online[:turn]]
    return sorted(rotated, key=lambda peer: peer not in first)
