"""inflight.py - batches that were in flight at kill -9, and what has changed by the next start: the broker's memory, the
configuration, the number of agents that know of them.
"""
import os
import shutil

import oracle
import unresolved
from scenario import scenario

OUT_OF_ORDER = 45


def told_once(t, kafka, topic, agent):
    """The next life finds everything there: nothing doubled, nothing uncertain."""
    agent.start()
    s = agent.until_acked(t.ledger.total(), 60)
    assert s["uncertain"]["records"] == 0 and s["losses"]["records"] == 0, (s["uncertain"], s["losses"])
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def five_batches_in_flight_at_kill_9_are_there_once_after_a_broker_restart(t):
    """The broker has all five and remembers the last one only: four repeats are refused (45), the fifth proves them all."""
    kafka = t.own_kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, producer={"linger.ms": 50}).start()
    w.write(100)
    agent.until_acked(100)
    unresolved.all_known(t, kafka, topic, agent, w, batches=5)
    kafka.stop()
    kafka.start()
    kafka.count(topic)          # its partition is led: other refusals are no answer to what is asked here
    kafka.proxy.note_codes()
    told_once(t, kafka, topic, agent)
    assert kafka.proxy.codes == [OUT_OF_ORDER] * 4 + [0], kafka.proxy.codes


@scenario()
def five_batches_in_flight_at_kill_9_are_there_once_after_the_brokers_kill_9(t):
    """The broker is killed too and reads its log again: whatever it remembers, the lines are there once."""
    kafka = t.own_kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, producer={"linger.ms": 50}).start()
    w.write(100)
    agent.until_acked(100)
    unresolved.all_known(t, kafka, topic, agent, w, batches=5)
    kafka.kill()
    kafka.start()
    told_once(t, kafka, topic, agent)


# --- another configuration

def killed_half_known(t, **settings):
    """Two batches are in the ledger at kill -9: the broker has the first, the second never reached it."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    inputs = [{"name": "first", "paths": [os.path.join(t.logs, "*.log")], "topic": topic, **settings}]
    agent = t.agent(kafka.proxied, None, inputs=inputs, producer={"linger.ms": 50, "compression.type": "lz4"}).start()
    w = t.writer("app")
    w.write(100)
    agent.until_acked(100)
    unresolved.half_known(t, kafka, topic, agent, w)
    return kafka, topic, agent, w


def restarted(t, agent, writer):
    """With what is in agent.settings now; fifty new lines follow those in flight."""
    agent.write_config()
    writer.write(50)
    agent.start()
    s = agent.until_acked(250, 60)
    assert s["records"]["read"] == 250 and s["uncertain"]["records"] == 0 and s["losses"]["records"] == 0, s["records"]
    agent.stop()


@scenario()
def another_topic_in_the_configuration_leaves_lines_in_flight_to_the_old_one(t):
    """Killed with lines in flight, started with another topic: they arrive once where they were going, new ones in the new one."""
    kafka, topic, agent, w = killed_half_known(t)
    other = agent.settings["inputs"][0]["topic"] = t.topic(kafka)
    restarted(t, agent, w)
    old, new = oracle.consume(kafka.address, topic), oracle.consume(kafka.address, other)
    assert (len(old), len(new)) == (200, 50), (len(old), len(new))
    v = oracle.judge(t.run_id, oracle.Ledger.load(t.ledger.path), oracle.triples(old + new))
    assert v.good, str(v)


@scenario()
def another_key_in_the_configuration_leaves_lines_in_flight_their_old_one(t):
    """Killed with lines in flight, started with another key: they arrive once with the key they had, new ones with the new one."""
    kafka, topic, agent, w = killed_half_known(t, key="old")
    agent.settings["inputs"][0]["key"] = "new"
    restarted(t, agent, w)
    keys = [r[2] for r in oracle.consume(kafka.address, topic)]
    assert keys == [b"old"] * 200 + [b"new"] * 50, keys
    t.expect_all(kafka, topic)


@scenario()
def an_input_with_another_name_leaves_lines_in_flight_as_they_were(t):
    """Killed with lines in flight, started with the input renamed, whose name is their key: once, with the name they had."""
    kafka, topic, agent, w = killed_half_known(t, key="%{input}")
    agent.settings["inputs"][0]["name"] = "second"
    restarted(t, agent, w)
    keys = [r[2] for r in oracle.consume(kafka.address, topic)]
    assert keys == [b"first"] * 200 + [b"second"] * 50, keys
    t.expect_all(kafka, topic)


@scenario()
def another_codec_in_the_configuration_doubles_nothing_in_flight(t):
    """Killed with lines in flight in LZ4, started with zstd: they arrive once, in the codec that was recorded, new ones in zstd."""
    lz4, zstd = 3, 4
    kafka, topic, agent, w = killed_half_known(t)
    agent.settings["producer"]["compression.type"] = "zstd"
    restarted(t, agent, w)
    codecs = {}
    for b in kafka.batches(topic):
        codecs[b["attributes"] & 7] = codecs.get(b["attributes"] & 7, 0) + b["last_offset_delta"] + 1
    assert codecs == {lz4: 200, zstd: 50}, codecs
    t.expect_all(kafka, topic)


# --- a copy

@scenario()
def a_copied_state_directory_drains_the_same_batches_and_doubles_none(t):
    """The original and its copy run side by side after kill -9: both count all lines as acknowledged, the topic has each once.

    As long as nothing new is written: two agents that follow the same files send new lines twice, each under its own identity."""
    kafka, topic, agent, w = killed_half_known(t)
    copy = t.agent(kafka.proxied, None, inputs=agent.settings["inputs"], producer={"linger.ms": 50, "compression.type": "lz4"}, name="copy")
    shutil.copytree(agent.state_dir, copy.state_dir, ignore=shutil.ignore_patterns("*.sock"))
    both = [agent, copy]
    for a in both:
        a.start(wait=False)
    for a in both:
        s = a.until_acked(200, 60)
        assert s["records"]["read"] == 200 and s["uncertain"]["records"] == 0 and s["losses"]["records"] == 0, (a.name, s["records"])
    t.expect_all(kafka, topic)
    for a in both:
        a.stop()
