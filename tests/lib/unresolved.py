"""unresolved.py - an agent killed with batches in flight whose fate only the tests know.

The broker is behind its proxy and has one partition; the agent runs, has sent all there was, and closes a batch by linger.ms.
Afterwards the proxy refuses nothing any more, and the agent is dead.
"""
from killloop import Corpse
from procs import until


def reach(kafka, topic, writer, lines):
    """These lines are a batch that the broker has and the agent hears nothing of."""
    kafka.proxy.swallow()
    before = kafka.count(topic)
    writer.write(lines)
    until(lambda: kafka.count(topic) == before + lines, 20, "the broker has the batch", every=0.01)


def vanish(kafka, agent, writer, lines, batches):
    """These lines are a batch that is sent and never reaches the broker: the agent's so manieth without an answer."""
    kafka.proxy.black_hole()
    writer.write(lines)
    agent.until(lambda s: s["producer"]["in_flight_batches"] == batches, 20, "the batch is in flight")


def bury(t, kafka, agent, batches):
    """kill -9; the ledger has so many batches."""
    agent.kill()
    assert Corpse(agent.state_dir, t.path("corpse")).ledger == batches, "the ledger has each of them"
    kafka.proxy.cut()
    kafka.proxy.forward()


def all_known(t, kafka, topic, agent, writer, batches, lines=50):
    """The broker has all of them."""
    for _ in range(batches):
        reach(kafka, topic, writer, lines)
    bury(t, kafka, agent, batches)


def half_known(t, kafka, topic, agent, writer, lines=50):
    """Two: the broker has the first, the second never reached it."""
    reach(kafka, topic, writer, lines)
    there = kafka.count(topic)
    vanish(kafka, agent, writer, lines, batches=2)
    bury(t, kafka, agent, batches=2)
    assert kafka.count(topic) == there, "the second batch has not reached the broker"
