"""A network that works for the adversary: one peer decides alone, and a liar opens the next view.

In an asynchronous system the adversary chooses when what arrives (OSDI'99, section 2). Random loss
seldom does what two chosen losses do here: a decision that only one correct peer knows of, which
nobody can ask, is all that a new view has to carry over.
"""

from collections.abc import Sequence

from bftcluster.errors import ClusterError
from bftcluster.ids import Seq, View
from bftcluster.membership import Membership
from bftcluster.pbft.frames import kind_of, parse_frame
from bftcluster.pbft.messages import BODY
from bftcluster.pbft.votes import Vote, VoteKind
from bftcluster_sim.cluster.peers.nodes import Node

_PROPOSING = (VoteKind.PRE_PREPARE, VoteKind.PREPARE, BODY)


class Lone:
    """Loses the COMMITs of a view but those to one peer, and all it says once it has decided."""

    def __init__(self, node: Node, view: View) -> None:
        self.view = view
        self._node = node
        self._decided_before = _decided(node)

    def __call__(self, source: int, target: int, frame: bytes) -> bool:
        """Return whether the frame is lost."""
        if source == self._node.index:
            return kind_of(frame) not in _PROPOSING or _decided(self._node) > self._decided_before
        if target == self._node.index or kind_of(frame) != VoteKind.COMMIT:
            return False
        try:
            message = parse_frame(self._node.world.nodes[source].key, frame)
        except ClusterError:
            return False
        return isinstance(message, Vote) and message.view == self.view


class Mute:
    """Loses what a primary proposes, and all of the next one, until their views are given up."""

    def __init__(self, node: Node, membership: Membership, view: View) -> None:
        self._node = node
        keys = [each.key for each in node.world.nodes]
        self._mute = keys.index(membership.primary(view))
        self._away = keys.index(membership.primary(View(view + 1)))
        self._place = (membership.epoch, view)

    def __call__(self, source: int, target: int, frame: bytes) -> bool:
        """Return whether the frame is lost."""
        replica = self._node.replica
        epoch, view = self._place
        if replica is None or replica.membership.epoch != epoch or replica.view > view + 1:
            return False
        is_proposal = source == self._mute and kind_of(frame) == VoteKind.PRE_PREPARE
        return is_proposal or self._away in (source, target)


class Scheme:
    """Silences primaries until a schemer is next, and then has one of its victims decide alone."""

    def __init__(self, schemer: Node, victims: Sequence[Node]) -> None:
        self._schemer = schemer
        self._victims = victims
        self._lone: Lone | None = None

    def __call__(self, source: int, target: int, frame: bytes) -> bool:
        """Return whether the frame is lost."""
        replica = self._schemer.replica
        if replica is None:
            return False
        view, membership = replica.view, replica.membership
        primary = membership.primary(view)
        if membership.primary(View(view + 1)) == self._schemer.key:
            self._favour(view)
        elif primary != self._schemer.key:
            return self._schemer.world.nodes[source].key == primary
        return self._lone is not None and self._lone(source, target, frame)

    def _favour(self, view: View) -> None:
        if self._lone is None or self._lone.view != view:
            victim = next((node for node in self._victims if node.is_up), None)
            self._lone = None if victim is None else Lone(victim, view)


def _decided(node: Node) -> Seq:
    return Seq(0) if node.replica is None else node.replica.last_decided
