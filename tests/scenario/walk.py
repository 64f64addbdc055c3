"""walk.py - random operations on files, agent and brokers against a model: at least 20,000 steps together.

A failed walk tells its seed and its last steps; the same seed takes the same steps again. `make soak` goes on with other seeds.
"""
import os

from fake import Fake
from scenario import scenario
from trouble import FakeTrouble, KafkaTrouble
from walk import Walk

PRODUCER = {"batch.size": "32KiB", "linger.ms": 5, "buffer.memory": "1MiB", "max.block.ms": 100, "compression.type": "lz4",
            "request.timeout.ms": 1000, "evidence.settle.ms": 500, "reconnect.backoff.max.ms": 200, "retry.backoff.max.ms": 200,
            "metadata.max.age.ms": 1000}


def walked(t, walk, steps):
    v = walk.go(steps)
    t.shared.walks.append(walk.figures(v))
    t.shared.steps += steps
    walk.assert_dangerous()


def before_fake(t, globs, nodes=1, partitions=1, topics=("one",), held=(), producer=None, inside=True, shifting=False, flood=False,
                without_ledger=False, **top):
    fake = Fake(t.shared.binary, "4.1", nodes=nodes, partitions=partitions, words=t.path("fake.words"))
    t.closing.append(fake.close)
    inputs = [{"name": topic, "paths": [os.path.join(t.logs, g) for g in globs], "topic": topic} for topic in topics]
    agent = t.agent(fake.address, None, inputs=inputs, producer={**PRODUCER, **(producer or {})}, shutdown_timeout="2s", **top)
    return Walk(t, agent, FakeTrouble(fake, t.dir, topics, held), topics, inside, shifting, flood=flood,
                without_ledger=without_ledger)


@scenario(walk=True)
def six_thousand_random_operations_with_room_in_the_spool_lose_double_and_reorder_nothing(t):
    """Files are written, rotated, truncated and deleted, the agent killed, stopped and reloaded, the broker goes and comes."""
    walked(t, before_fake(t, ["*.log*"]), 6000)


@scenario(walk=True)
def six_thousand_random_operations_with_a_spool_that_fills_lose_double_and_reorder_nothing(t):
    """The same with a spool of a quarter of a megabyte: files are the buffer then; rotated names are outside the globs."""
    walk = before_fake(t, ["*.log"], partitions=2, inside=False, flood=True, spool={"max_size": "256KiB"},
                       producer={"batch.size": "16KiB"})
    walked(t, walk, 6000)
    assert walk.states["blocked"], "the spool was never full"


@scenario(walk=True)
def six_thousand_random_operations_with_topics_held_and_released_lose_double_and_reorder_nothing(t):
    """Three nodes, partitions without a leader, too few replicas, denied and unknown topics; rotation shifts all names."""
    walked(t, before_fake(t, ["*.log*"], nodes=3, partitions=3, held=("one",), shifting=True), 6000)


@scenario()
def random_operations_with_a_ledger_emptied_after_each_kill_are_seen_to_double_lines(t):
    """The control: the walks above would see a broken promise. The ledger is emptied after each kill -9: lines are doubled."""
    walk = before_fake(t, ["*.log*"], without_ledger=True)
    try:
        walk.go(3000)
    except AssertionError:
        pass
    v = walk.judge(strict=False)
    assert v.doubled and not v.missing and not v.unknown, str(v)


@scenario(walk=True)
def three_thousand_random_operations_before_a_real_broker_lose_double_and_reorder_nothing(t):
    """The same operations with Apache Kafka, cut off, silent, killed and restarted."""
    kafka = t.own_kafka()
    topic = t.topic(kafka, partitions=2)
    agent = t.agent(kafka.proxied, topic, paths=[os.path.join(t.logs, "*.log*")], producer=PRODUCER, shutdown_timeout="2s")
    walked(t, Walk(t, agent, KafkaTrouble(kafka, restarts=3), [topic]), 3000)
