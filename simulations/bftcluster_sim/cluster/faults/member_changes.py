"""Maintainers who let peers in and out while a run rages, by operations that go through the log."""

import hashlib
from functools import partial

from bftcluster.ids import InviteKey, PeerId
from bftcluster.ledger.state.membership_rows import VOTERS_MIN
from bftcluster.ledger.wire.invitation_operations import Invite
from bftcluster.ledger.wire.loan_requests import leave, redeem
from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster.ledger.wire.operations import MemberOperation
from bftcluster_sim.cluster.environment.signatures import SimSigner
from bftcluster_sim.cluster.faults.plans import RunPlan
from bftcluster_sim.cluster.peers.states import LIFETIME_MS, TERMS
from bftcluster_sim.cluster.world import World

_JOINS_LATER_MS = (0, 300, 2_000)
_REDEEMED_AFTER_MS = (200, 700, 2_500)


class Changes:
    """Draws changes of members that leave at most f faulty in every membership they can lead to.

    Nobody knows yet which of them will be ordered, and when, so removals are counted as if nobody
    ever joined.
    """

    def __init__(self, plan: RunPlan, world: World) -> None:
        self._world = world
        self._keys = plan.n + plan.spares
        self.voters_min = plan.n
        """Fewer will not vote, whatever is ordered."""
        self._faulty = len(plan.ruins)
        self._number = 0

    def change(self) -> None:
        """Have somebody join, leave or change roles, or one take another's place."""
        random = self._world.random
        key = random.randrange(self._keys)
        latest = self._world.discipline.latest
        if self._world.nodes[key].key not in latest.replicas:
            self._admit(key, votes=random.random() < 0.8)
            if random.random() < 0.5:
                self._remove(random.randrange(self._keys))
        elif random.random() < 0.8:
            self._remove(key)
        elif self._may_shrink():
            self._admit(key, votes=False)

    def _admit(self, key: int, *, votes: bool) -> None:
        world, node = self._world, self._world.nodes[key]
        operation = AdmitPeer(
            peer=PeerId(node.key), name=f"peer{key}", addresses=(), votes=votes, terms=TERMS
        )
        if not votes and self._number % 2:
            self._invite(key)
        else:
            self._hand_in(operation, f"admit {key} {'to vote' if votes else 'to follow'}")
        if not node.has_run:
            at_ms = world.clock.now_ms + world.random.choice(_JOINS_LATER_MS)
            world.clock.call_at(at_ms, node.start)

    def _remove(self, key: int) -> None:
        if self._may_shrink():
            node = self._world.nodes[key]
            if self._number % 2 and node.key not in self._world.discipline.latest.replicas:
                self._leave(key)
            else:
                self._hand_in(RemovePeer(peer=PeerId(node.key)), f"remove {key}")

    def _invite(self, key: int) -> None:
        """Have maintainers invite whoever has a secret, and a peer that has it come a little later.

        Everybody sees its request: others send it again.
        """
        world, node = self._world, self._world.nodes[key]
        secret = SimSigner(hashlib.sha256(b"invitation %d" % self._number).digest())
        expires_ms = world.founding.genesis.created_ms + LIFETIME_MS
        invite = InviteKey(secret.public_key)
        self._hand_in(
            Invite(key=invite, uses=1, expires_ms=expires_ms, terms=TERMS), f"invite {key}"
        )
        request = redeem(
            node.signer,
            secret,
            cluster_id=world.founding.cluster_id,
            name=f"peer{key}",
            addresses=(),
            asked=TERMS,
        ).to_bytes()
        for after_ms in _REDEEMED_AFTER_MS:
            to = (key + after_ms) % len(world.nodes)
            come = partial(world.hand_in, request, f"redeem by {key}", to=to)
            world.clock.call_at(world.clock.now_ms + after_ms, come)

    def _leave(self, key: int) -> None:
        """Have a peer say that it goes, now or when others hold what it holds."""
        world, node = self._world, self._world.nodes[key]
        now_ms = world.founding.genesis.created_ms + world.clock.now_ms
        cluster_id = world.founding.cluster_id
        is_final = key % 2 == 0
        word = leave(node.signer, cluster_id=cluster_id, now_ms=now_ms, is_final=is_final)
        self._number += 1
        world.hand_in(word.to_bytes(), f"{key} leaves", to=key % len(world.nodes))

    def _may_shrink(self) -> bool:
        left = max(VOTERS_MIN, self.voters_min - 1)
        if (left - 1) // 3 < self._faulty:
            return False
        self.voters_min = left
        return True

    def _hand_in(self, operation: MemberOperation, what: str) -> None:
        world = self._world
        request = world.founding.member_request(self._number, operation)
        self._number += 1
        world.hand_in(request, what, to=world.random.randrange(len(world.nodes)))
