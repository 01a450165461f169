"""What goes wrong while a run rages: one action at a time, drawn from those its plan allows."""

import errno
import os
from collections.abc import Callable

from bftcluster.ids import Seq
from bftcluster.pbft.frames import kind_of
from bftcluster.pbft.messages import BODY, ENTRIES, STATUS
from bftcluster.pbft.view_messages import NEW_VIEW, VIEW_CHANGE
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.adversary.schemes import Lone, Mute, Scheme
from bftcluster_sim.cluster.faults.member_changes import Changes
from bftcluster_sim.cluster.faults.plans import Fault, Ruin, RunPlan
from bftcluster_sim.cluster.faults.succession import Succession
from bftcluster_sim.cluster.peers.disks import Failure, Lie
from bftcluster_sim.cluster.peers.nodes import Node
from bftcluster_sim.cluster.world import World

_PAUSES_MS = (100, 1_000, 5_000)
_CHANGES = 3
"""How much oftener than other things a change of members happens, where it does."""
_MUTES = 2
"""Likewise, of silent primaries."""
_LIES = 3
"""Likewise, of what old keys sign."""
_KINDS = (*map(int, VoteKind), VIEW_CHANGE, NEW_VIEW, BODY, STATUS, ENTRIES)


class Chaos:
    """Does to a world what a plan allows."""

    def __init__(self, plan: RunPlan, world: World, succession: Succession | None = None) -> None:
        self.plan = plan
        self._succession = succession
        self.world = world
        self.random = world.random
        self._bad_disks = [key for key, ruin, _ in plan.ruins if ruin is Ruin.BAD_DISK]
        self._dead = [key for key, ruin, _ in plan.ruins if ruin is Ruin.DEAD]
        self._wiped = [key for key, ruin, _ in plan.ruins if ruin is Ruin.WIPED]
        schemers = [key for key, ruin, _ in plan.ruins if ruin is Ruin.SCHEMER]
        if schemers:
            correct = [node for node in world.nodes if node.is_correct]
            victims = self.random.sample(correct, len(correct))
            world.links.adversary = Scheme(world.nodes[schemers[0]], victims)
        self._changes = Changes(plan, world)
        self._actions = self._allowed()

    def act(self) -> None:
        """Do something bad, or end something bad."""
        self.random.choice(self._actions)()

    @property
    def voters_min(self) -> int:
        """So many vote at least, whatever was asked for and may yet be ordered."""
        return self._changes.voters_min

    def _allowed(self) -> list[Callable[[], None]]:
        table: list[tuple[Fault, Callable[[], None]]] = [
            (Fault.PARTITION, self._partition),
            (Fault.ASYMMETRY, self._cut_one_way),
            (Fault.CLOG, self._clog),
            (Fault.DEAF, self._deafen),
            (Fault.LONE, self._favour),
            (Fault.CRASH, self._crash),
            (Fault.CRASH_INSIDE, self._light_fuse),
            (Fault.DISK_ERROR, lambda: self._fail_disk(errno.EIO)),
            (Fault.DISK_FULL, lambda: self._fail_disk(errno.ENOSPC)),
            (Fault.CONTENT, self._fill),
            (Fault.SKEW, self._jump),
            (Fault.PAUSE, self._pause),
        ]
        actions = [action for fault, action in table if fault in self.plan.faults]
        if Fault.MEMBERS in self.plan.faults:
            actions += [self._changes.change] * _CHANGES
        if Fault.MUTE in self.plan.faults:
            actions += [self._mute] * _MUTES
        if self._succession is not None:
            actions += [self._succession.lie] * _LIES
        if self._bad_disks:
            actions.append(self._ruin_disk)
        if self._dead:
            actions.append(self._bury)
        if self._wiped:
            actions.append(self._wipe)
        return [*actions, self.world.links.heal]

    def _partition(self) -> None:
        indices = [node.index for node in self.world.nodes]
        self.random.shuffle(indices)
        cut = self.random.randint(1, len(indices) - 1)
        self.world.trace.line(f"partition {sorted(indices[:cut])} | {sorted(indices[cut:])}")
        self.world.links.partition(set(indices[:cut]), set(indices[cut:]))

    def _cut_one_way(self) -> None:
        pair = tuple(self.random.sample(range(len(self.world.nodes)), 2))
        self.world.trace.line(f"cut {pair[0]} > {pair[1]}")
        self.world.links.cut.add((pair[0], pair[1]))

    def _clog(self) -> None:
        links = self.world.links
        if links.clogged:
            links.release()
        else:
            source = self.random.randrange(len(self.world.nodes))
            links.clogged = {(source, to) for to in self.world.others[source]}
            self.world.trace.line(f"clog everything from {source}")

    def _deafen(self) -> None:
        kind, deaf = self.random.choice(_KINDS), self.random.randrange(len(self.world.nodes))
        self.world.trace.line(f"{deaf} gets no frames of kind {kind}")
        self.world.links.filter = lambda _source, to, frame: to == deaf and kind_of(frame) == kind

    def _favour(self) -> None:
        """Let one decide what the others are only prepared for."""
        node = self.random.choice([node for node in self.world.nodes if node.is_correct])
        if node.replica is None:
            return
        self.world.trace.line(f"{node.index} alone gets the commits of view {node.replica.view}")
        self.world.links.filter = Lone(node, node.replica.view)

    def _mute(self) -> None:
        """Let a primary lose its view, and the next one a view from which nothing ever came."""
        node = self.random.choice([node for node in self.world.nodes if node.is_correct])
        if node.replica is None or isinstance(self.world.links.adversary, Scheme):
            return
        view, membership = node.replica.view, node.replica.membership
        self.world.trace.line(f"the primary of view {view} proposes nothing, the next is cut off")
        self.world.links.adversary = Mute(node, membership, view)

    def _crash(self) -> None:
        node = self.random.choice(self.world.nodes)
        node.kill()
        self._restart_later(node)

    def _light_fuse(self) -> None:
        node = self.random.choice(self.world.nodes)
        node.fuse = self.random.randint(0, 40)
        self._restart_later(node, extra_ms=300)

    def _restart_later(self, node: Node, extra_ms: int = 0) -> None:
        if node.index in self._dead:
            return
        at_ms = self.world.clock.now_ms + extra_ms + self.random.choice((10, 100, 1_000))
        self.world.clock.call_at(at_ms, node.start)

    def _fail_disk(self, code: int) -> None:
        node = self.random.choice(self.world.nodes)
        node.disk.failure = Failure(code, self.random.randint(0, 20))
        self.world.trace.line(f"disk of {node.index}: {os.strerror(code)}, soon")
        self._mend_later(node)

    def _mend_later(self, node: Node) -> None:
        def mend() -> None:
            node.disk.failure = None
            if node.index not in self._dead:
                node.start()

        at_ms = self.world.clock.now_ms + self.random.choice((300, 1_000, 2_000))
        self.world.clock.call_at(at_ms, mend)

    def _fill(self) -> None:
        """Let no more blocks fit in a store, for a while."""
        blocks = self.random.choice(self.world.nodes).blocks

        def empty() -> None:
            blocks.is_full = False

        blocks.is_full = True
        self.world.clock.call_at(self.world.clock.now_ms + self.random.choice(_PAUSES_MS), empty)

    def _jump(self) -> None:
        node = self.random.choice(self.world.nodes)
        wide_ms = 10_000 if node.is_correct else 3_600_000
        node.clock.skew_ms = self.random.randint(-wide_ms, wide_ms)

    def _pause(self) -> None:
        node = self.random.choice(self.world.nodes)
        node.pause()
        self.world.trace.line(f"{node.index} stands still")
        self.world.clock.call_at(
            self.world.clock.now_ms + self.random.choice(_PAUSES_MS), node.resume
        )

    def _ruin_disk(self) -> None:
        node = self.world.nodes[self.random.choice(self._bad_disks)]
        if self.random.random() < 0.5:
            node.disk.remember()
            return
        lie = self.random.choice(list(Lie))
        node.kill()
        node.disk.lie(lie, self.random)
        if lie is Lie.ROLLBACK:
            node.state.lose_after(Seq(node.state.executed // 2))
        self.world.trace.line(f"disk of {node.index}: {lie.value}")
        self._restart_later(node)

    def _bury(self) -> None:
        self.world.nodes[self.random.choice(self._dead)].kill()

    def _wipe(self) -> None:
        node = self.world.nodes[self.random.choice(self._wiped)]
        chance = self.random.random()
        if chance < 0.4 and not self.plan.may_stop:
            self._copy_or_put_back(node)
            return
        keeps_votes = chance > 0.8
        self.world.trace.line(f"{node.index} loses its ledger{'' if keeps_votes else ' and votes'}")
        node.wipe(keeps_votes=keeps_votes)
        self._restart_later(node)

    def _copy_or_put_back(self, node: Node) -> None:
        """Copy a whole disk, ledger and votes, or put the last copy back."""
        if self.random.random() < 0.5:
            node.copy()
            self.world.trace.line(f"a copy is made of the disk of {node.index}")
            return
        self.world.trace.line(f"the disk of {node.index} is as its last copy")
        node.put_back()
        self._restart_later(node)
