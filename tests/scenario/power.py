"""power.py - the power fails: of the state database only what was synced is left, the log files are whole.

The files that the agent's syncs made sure of take the place of those that it had written (tests/lib/power.py).
"""
import os
import time

import power
import unresolved
from procs import until
from scenario import scenario


def shipping(t, sync, **producer):
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer(sync, path=t.path(f"{sync}.txt"))
    agent = t.agent(kafka.proxied, topic, paths=[w.path + "*"], name=sync, producer={"linger.ms": 50, **producer}, spool={"sync": sync})
    power.watch(t, agent)
    agent.start()
    w.write(100)
    agent.until_acked(100)
    return kafka, topic, w, agent


def everything_is_there_again(agent, w):
    agent.start()
    w.write(50)                                     # and the stream is warm again: several batches may be in flight
    s = agent.until_acked(w.seq, 60)
    assert s["records"]["read"] == w.seq and not s["losses"]["events"], (s["records"], s["losses"])
    return s


@scenario()
def full_sync_carries_exactly_once_through_power_losses(t):
    """spool.sync: full: batches in Kafka without an answer, batches on their way, random moments: doubled 0, uncertain 0."""
    kafka, topic, w, agent = shipping(t, "full")
    for i in range(4):
        unresolved.reach(kafka, topic, w, 50)
        if i % 2:
            unresolved.vanish(kafka, agent, w, 50, batches=2)
        power.cut(agent)
        kafka.proxy.cut()
        kafka.proxy.forward()
        everything_is_there_again(agent, w)
    feed = t.feeder([w], lines_per_s=5000, rotate_every=5000)
    for _ in range(6):
        time.sleep(t.rng.uniform(0.2, 0.8))         # a random moment is what is tested
        power.cut(agent)
        agent.start()
    feed.stop()
    s = agent.until_acked(w.seq, 60)
    assert not s["uncertain"]["batches"] and not s["losses"]["events"], s
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def what_full_sync_saves_is_what_a_power_loss_may_double(t):
    """The control, spool.sync: normal: nothing is missing, what the ledger had not synced comes twice."""
    kafka, topic, w, agent = shipping(t, "normal")
    for _ in range(3):
        unresolved.reach(kafka, topic, w, 50)
        power.cut(agent)
        kafka.proxy.cut()
        kafka.proxy.forward()
        s = everything_is_there_again(agent, w)
    agent.stop()
    v = t.verdict(kafka, topic)
    assert not v.missing and not v.unknown and not v.corrupt and 0 < v.doubled, f"{v} {s['uncertain']}"


@scenario()
def what_was_acknowledged_five_seconds_ago_survives_a_power_loss(t):
    """spool.sync: normal: nothing is written any more, the disk is told to keep what was recorded: doubled 0."""
    kafka, topic, w, agent = shipping(t, "normal")
    w.write(50)
    agent.until_acked(150)
    until(lambda: power.acked(agent, t.path("durable")) == 150, 30, "the disk has it")
    power.cut(agent)
    s = everything_is_there_again(agent, w)
    assert not s["uncertain"]["batches"], s["uncertain"]
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def spooled_lines_survive_a_power_loss(t):
    """spool.sync: normal: spilled in an outage, the log file deleted, then the power fails twice: every line once."""
    kafka, topic, w, agent = shipping(t, "normal", **{"buffer.memory": "1MiB", "max.block.ms": 100, "compression.type": "none"})
    kafka.proxy.refuse()
    w.write(20000)
    gone = w.rotate()
    agent.until(lambda s: s["records"]["spooled"] == 20000, 60, "all of it is in the spool")
    os.unlink(gone)
    for _ in range(2):
        power.cut(agent)
        agent.start()
        assert agent.status()["records"]["spooled"] == 20000, agent.status()["records"]
    kafka.proxy.forward()
    s = agent.until_acked(20100, 60)
    assert not s["uncertain"]["batches"] and not s["losses"]["events"], s
    agent.stop()
    t.expect_all(kafka, topic)
