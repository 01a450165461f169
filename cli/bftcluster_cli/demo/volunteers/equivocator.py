"""A voter that votes twice: a process that speaks with a peer's identity, and says two things.

It links to the replicas as that peer would, and sends each of them two PREPAREs for one place, with
different digests. Those who hear both have the proof, since it signed both.
"""

import secrets
import sys
from pathlib import Path
from typing import Final

import trio

from bftcluster.errors import PeerUnreachableError
from bftcluster.ids import Digest, Epoch, PeerId, ReplicaId, Seq, View
from bftcluster.net.network import Network
from bftcluster.net.streams import StreamClass
from bftcluster.node.process.config import Config
from bftcluster.node.process.genesis_file import load_genesis
from bftcluster.node.process.identity import load_identity
from bftcluster.pbft.votes import DOMAINS, Vote, VoteKind, vote_payload
from bftcluster.signing.envelope import sign
from bftcluster.signing.keys import parse_peer_id
from bftcluster_cli.client import Client
from bftcluster_cli.framework import GlobalOptions

_AHEAD_SEQS: Final = 6
"""Soon to be voted on, and not decided yet."""
_PAUSE_S: Final = 0.3


async def _ignored(_: PeerId, __: bytes) -> None:
    return


async def equivocate(directory: Path, api: str, replicas: dict[PeerId, list[str]]) -> None:
    """Vote twice for one place after the other, until stopped."""
    config = Config.load(directory)
    key = load_identity(config.path(config.peer.identity))
    genesis = load_genesis(config.path(config.cluster.genesis))
    network = Network(
        seed=key.seed,
        listen=[],
        peers=replicas,
        handlers={each: _ignored for each in StreamClass if each is not StreamClass.RPC},
    )
    me = ReplicaId(key.public_key)
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        while True:
            with Client(GlobalOptions(api=api)) as client:
                status = await trio.to_thread.run_sync(client.get, "/status")
            epoch, view = Epoch(int(status["epoch"])), View(int(status["view"]))
            seq = Seq(int(status["last_executed"]) + _AHEAD_SEQS)
            for _ in range(2):
                digest = Digest(secrets.token_bytes(32))
                payload = vote_payload(genesis.cluster_id, epoch, view, seq, digest, me)
                signature = sign(key, DOMAINS[VoteKind.PREPARE], payload)
                vote = Vote(VoteKind.PREPARE, epoch, view, seq, digest, me, signature)
                for peer in replicas:
                    try:
                        with trio.move_on_after(_PAUSE_S):
                            await network.send(peer, StreamClass.CONSENSUS, vote.frame())
                    except PeerUnreachableError:
                        continue  # it is not linked yet
            await trio.sleep(_PAUSE_S)


def main() -> None:
    """Equivocate as the command line says: DIRECTORY API, and ID=ADDRESS of each replica."""
    directory, api, *words = sys.argv[1:]
    pairs = [word.partition("=") for word in words]
    replicas = {parse_peer_id(peer): [address] for peer, _, address in pairs}
    trio.run(equivocate, Path(directory), api, replicas)


if __name__ == "__main__":
    main()
