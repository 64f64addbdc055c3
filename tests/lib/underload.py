"""underload.py - three nodes and an agent under a steady stream of lines, for what moves leaders and ends nodes.

Replication 3, two must have a record, six partitions, several files.
"""
import contextlib

import oracle
import wire
from kafka import Cluster
from procs import until

TOPIC, PARTITIONS, FILES = "six", 6, 4
REQUEST_TIMEOUT_S = 3


def in_sync(cluster):
    def all_there():
        try:
            return cluster.in_sync(TOPIC) == 3
        except (OSError, KeyError, wire.WireError):
            return False

    until(all_there, 90, "all replicas are in sync", every=0.1)


def started(t, **properties):
    """A cluster, an agent that ships, a feeder that writes; lines flow."""
    cluster = Cluster(t.path("cluster"), **properties)
    t.closing.append(cluster.close)
    cluster.start()
    cluster.nodes[0].create_topic(TOPIC, PARTITIONS, replication=3)
    writers = [t.writer(f"f{i}") for i in range(FILES)]
    agent = t.agent(cluster.address, TOPIC, producer={"batch.size": "16KiB", "linger.ms": 5, "request.timeout.ms": REQUEST_TIMEOUT_S * 1000,
                                                      "max.block.ms": 1000}).start()
    feed = t.feeder(writers, lines_per_s=8000)
    in_sync(cluster)
    flow(agent)
    return cluster, agent, feed


def verdict(t, cluster):
    return t.judge(oracle.consume(cluster.address, TOPIC))


@contextlib.contextmanager
def under_load(t, **properties):
    """started(); the body disturbs. After it every line must be there once."""
    cluster, agent, feed = started(t, **properties)
    yield cluster, agent
    flow(agent)
    feed.stop()
    s = agent.until(lambda s: s["records"]["read"] == t.ledger.total() == s["records"]["acked"], 90, "all lines are acked")
    assert s["uncertain"]["records"] == 0, s["uncertain"]
    agent.stop()
    v = verdict(t, cluster)
    assert v.good, str(v)


def flow(agent, lines=2000):
    """Waits until that many lines more were acked."""
    acked = agent.status()["records"]["acked"]
    agent.until(lambda s: s["records"]["acked"] >= acked + lines, 60, "lines flow")


def lead(cluster, wanted):
    """Gives each partition to the wanted one of its replicas: {partition: node}. Asks, again while the nodes have no controller;
    does not wait for what comes of it."""
    def asked():
        try:
            with cluster.alive().client() as c:
                c.reassign(TOPIC, {p: [first, first % 3 + 1, (first + 1) % 3 + 1] for p, first in wanted.items()})
                c.elect_preferred(TOPIC, range(PARTITIONS))
            return True
        except (OSError, wire.WireError):
            return False

    until(asked, 60, "a controller takes it", every=0.1)


def count(cluster):
    """How many records the leaders have. Fails while there is one too few."""
    led = {}
    for partition, node in cluster.leaders(TOPIC).items():
        if node < 0:
            raise wire.WireError(f"{TOPIC}-{partition} has no leader")
        led.setdefault(node, []).append(partition)
    total = 0
    for node, partitions in led.items():
        with cluster.node(node).client() as c:
            total += sum(c.offsets(TOPIC, partitions).values())
    return total
