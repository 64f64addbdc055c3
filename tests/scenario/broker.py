"""broker.py - the broker dies, restarts, refuses or is slow, in the middle of a large run."""
import os
import time

import oracle
from kafka import Cluster
from procs import until
from scenario import scenario

MB = 1000 * 1000


def large(t, megabytes):
    """Writes files of about that many MB in all (times --scale)."""
    lines = int(megabytes * MB * t.scale / (oracle.DEFAULT_LEN + 1))
    writers = [t.writer(n) for n in ("a", "b")]
    for w in writers:
        w.write(lines // 2, block=20000)


@scenario()
def a_broker_that_is_killed_and_restarted_loses_nothing_of_a_large_run(t):
    """kill -9 of the broker at random moments of a run of 200 MB (--scale 5 makes it 1 GB), three times: every line once."""
    kafka = t.own_kafka()
    topic = t.topic(kafka, partitions=2)
    large(t, 200)
    total = t.ledger.total()
    agent = t.agent(kafka.address, topic, producer={"max.block.ms": 1000}).start()
    for part in (1, 2, 3):
        agent.until(lambda s: s["records"]["acked"] >= total * part * t.rng.uniform(0.15, 0.3), 120, f"part {part} is acked", every=0.01)
        kafka.kill()
        time.sleep(t.rng.uniform(0, 1.5))       # a random moment
        kafka.start()
    agent.until_acked(total, 180)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_broker_restarted_in_order_doubles_nothing(t):
    """After a clean restart the broker remembers one batch of a producer instead of five: still nothing is doubled."""
    kafka = t.own_kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.address, topic, producer={"batch.size": "8KiB", "linger.ms": 0}).start()
    feed = t.feeder([w], lines_per_s=10000)
    for _ in range(3):
        before = agent.status()["records"]["acked"]
        agent.until(lambda s: s["records"]["acked"] > before, 30, "lines flow")
        kafka.stop()
        kafka.start()
    feed.stop()
    s = agent.until_acked(t.ledger.total())
    assert s["uncertain"]["records"] == 0, s["uncertain"]
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def broker_and_agent_killed_together_lose_and_double_nothing(t):
    """Acks are lost, then both die with -9, and the broker is back before the agent."""
    kafka = t.own_kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, producer={"batch.size": "8KiB", "linger.ms": 0})
    for stop in (kafka.kill, kafka.stop):
        kafka.proxy.forward()
        w.write(500)
        agent.start()
        agent.until_acked(t.ledger.total())
        kafka.proxy.swallow()
        before = kafka.count(topic)
        w.write(2000)
        until(lambda: kafka.count(topic) > before, 30, "the broker has lines whose acks were lost")
        agent.kill()
        stop()
        kafka.start()
    kafka.proxy.forward()
    agent.start()
    s = agent.until_acked(t.ledger.total())
    assert s["uncertain"]["records"] == 0, s["uncertain"]
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_slow_broker_slows_reading_and_loses_nothing(t):
    """A delay of 100 ms each way and 4 MB/s: memory fills, the files wait, everything arrives in order."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    kafka.proxy.delay(0.05)
    kafka.proxy.rate(4 * MB)
    agent = t.agent(kafka.proxied, topic, producer={"buffer.memory": "4MiB", "compression.type": "none"}).start()
    w.write(60000, block=20000)
    agent.until(lambda s: s["records"]["acked"] > 0, 60, "lines flow slowly")
    kafka.proxy.forward()
    agent.until_acked(t.ledger.total())
    assert agent.status()["records"]["dropped"] == 0
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_topic_that_is_created_later_gets_its_lines(t):
    """Lines of a topic that does not exist wait, and go to all of its partitions once it does."""
    kafka = t.kafka()
    base = t.topic(kafka)
    topic = f"{base}-new"
    w = t.writer("app")
    agent = t.agent(kafka.address, topic, paths=[os.path.join(t.logs, "*.log")]).start()
    w.write(2000)
    agent.until(lambda s: s["records"]["read"] == 2000, 30, "the lines are read")
    kafka.create_topic(topic, 3)
    agent.until_acked(2000)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_leader_that_moves_loses_and_doubles_nothing(t):
    """Three nodes, replication 3: the leader of a partition is killed, another one takes over, three times under traffic."""
    cluster = Cluster(t.path("cluster"))
    t.closing.append(cluster.close)
    cluster.start()
    topic = "leaders"
    cluster.nodes[0].create_topic(topic, partitions=3, replication=3)
    w = t.writer("app")
    agent = t.agent(cluster.address, topic, producer={"batch.size": "16KiB", "linger.ms": 5}).start()
    feed = t.feeder([w], lines_per_s=8000)
    for _ in range(3):
        until(lambda: cluster.in_sync(topic) == 3, 90, "all replicas are in sync", every=0.2)
        acked = agent.status()["records"]["acked"]
        agent.until(lambda s: s["records"]["acked"] > acked, 30, "lines flow")
        leader = cluster.leaders(topic)[0]
        cluster.node(leader).kill()
        until(lambda: cluster.leaders(topic)[0] not in (leader, -1), 60, "another node leads", every=0.1)
        cluster.node(leader).launch()
        until(cluster.node(leader).answers, 60, "the node is back", every=0.1)
    feed.stop()
    s = agent.until_acked(t.ledger.total())
    assert s["uncertain"]["records"] == 0, s["uncertain"]
    agent.stop()
    v = oracle.judge(t.run_id, oracle.Ledger.load(t.ledger.path), oracle.triples(oracle.consume(cluster.alive().address, topic)))
    assert v.good, str(v)
