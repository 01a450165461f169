"""One process: opens what a light peer keeps, and runs it."""

import trio

from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.errors import ClusterError, first_error, require_assertions
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.node.light.light_node import LightNode
from bftcluster.node.light.light_settings import LightConfig
from bftcluster.node.process.genesis_file import load_genesis
from bftcluster.node.process.identity import load_identity
from bftcluster.node.process.interpreter import tune_process
from bftcluster.signing.keys import SigningKey
from bftcluster.storage.lock import DirectoryLock


def run_light(config: LightConfig) -> None:
    """Run a light peer until SIGINT or SIGTERM; logs are configured by the caller.

    Raises:
        ClusterError: It cannot start, or cannot go on.
    """
    require_assertions()
    with DirectoryLock.acquire(config.directory):
        key = load_identity(config.identity)
        genesis = load_genesis(config.genesis)
        blocks = EmbeddedStore(config.blocks, config.quota_bytes)
        try:
            tune_process()
            trio.run(_run, config, key, genesis, blocks)
        except* ClusterError as group:
            raise first_error(group) from group
        finally:
            blocks.close()


async def _run(
    config: LightConfig, key: SigningKey, genesis: Genesis, blocks: EmbeddedStore
) -> None:
    """Make the loops where trio runs, since links ask it for the time."""
    await LightNode(config, key=key, genesis=genesis, blocks=blocks).run()
