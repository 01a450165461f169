"""Worlds to begin a test with."""

from bftcluster_sim.cluster.world import World


def settled(peers: int = 4) -> World:
    """Return four founders, whom the others follow, once they have heard from each other."""
    world = World(seed=0, keys=range(peers), n=4, is_traced=True)
    world.start()
    world.run_until(20)
    return world
