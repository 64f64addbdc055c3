"""cluster3.py - three nodes under a steady stream of lines: restarts, kills, moving leaders, a node that is frozen.

Whatever happens to one node at a time, every line is there once and in order, and nothing is uncertain.
"""
import time

from procs import until
from scenario import scenario
from underload import PARTITIONS, REQUEST_TIMEOUT_S, TOPIC, flow, in_sync, lead, under_load


@scenario()
def a_rolling_restart_of_three_nodes_loses_doubles_and_reorders_nothing(t):
    """All nodes are stopped in order and started again, one after the other, leaders handed over as in an upgrade."""
    with under_load(t, controlled_shutdown_enable="true") as (cluster, agent):
        for node in cluster.nodes:
            node.stop()
            flow(agent)
            node.launch()
            until(node.answers, 60, "the node is back", every=0.1)
            in_sync(cluster)


@scenario()
def leaders_killed_again_and_again_lose_double_and_reorder_nothing(t):
    """kill -9 of a leader at random moments, five times, each back before the next goes."""
    with under_load(t) as (cluster, agent):
        for _ in range(5):
            partition = t.rng.randrange(PARTITIONS)
            leader = cluster.leaders(TOPIC)[partition]
            flow(agent, t.rng.randrange(1, 3000))
            cluster.node(leader).kill()
            until(lambda: cluster.leaders(TOPIC)[partition] not in (leader, -1), 60, "another node leads", every=0.1)
            cluster.node(leader).launch()
            until(cluster.node(leader).answers, 60, "the node is back", every=0.1)
            in_sync(cluster)


@scenario()
def leaders_that_move_under_load_lose_double_and_reorder_nothing(t):
    """All nodes stay up; ten times each partition is given to another of its replicas while lines flow."""
    with under_load(t) as (cluster, agent):
        for turn in range(10):
            wanted = {p: (p + turn) % 3 + 1 for p in range(PARTITIONS)}
            until(lambda: moved(cluster, wanted), 30, "the leaders moved", every=0.1)
            flow(agent, t.rng.randrange(500, 2000))


@scenario()
def a_node_frozen_for_longer_than_a_request_may_take_loses_doubles_and_reorders_nothing(t):
    """SIGSTOP of a leader until others lead and requests timed out, then it wakes with old requests in its sockets; each node once."""
    with under_load(t) as (cluster, agent):
        for node in cluster.nodes:
            number = cluster.nodes.index(node) + 1
            others = cluster.nodes[number % 3]
            flow(agent)
            node.freeze()
            try:
                until(lambda: number not in leaders_seen_by(others).values(), 60, "others lead", every=0.1)
                wake_at = time.monotonic() + REQUEST_TIMEOUT_S + 1
                agent.until(lambda s: time.monotonic() > wake_at, 60, "requests have timed out")
                flow(agent)
            finally:
                node.thaw()
            in_sync(cluster)


def moved(cluster, wanted):
    """Asks again until it is so: a replica that is out of sync for a moment is passed over."""
    if cluster.leaders(TOPIC) == wanted:
        return True
    lead(cluster, wanted)
    return False


def leaders_seen_by(node):
    with node.client() as c:
        return c.metadata([TOPIC])["topics"][TOPIC][1]
