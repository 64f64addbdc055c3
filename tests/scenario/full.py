"""full.py - the spool is full and may drop: what is lost is exactly what the losses say.

Each line has the same length, so offsets of the losses are line numbers, and are compared with what Kafka does not have.
"""
import os

import agent as agent_module
import oracle
from scenario import scenario

LINE = oracle.DEFAULT_LEN + 1           # with its LF
SMALL = {"buffer.memory": "1MiB", "max.block.ms": 100, "compression.type": "none", "batch.size": "16KiB"}


def lost_lines(agent, writer, reason):
    """Line numbers out of `losses`; each entry is checked against its own figures."""
    lines, records = set(), 0
    for row in agent.json("losses"):
        assert row["reason"] == reason and row["path"] == writer.path, row
        assert row["start"] % LINE == 0 and row["end"] % LINE == 0 and row["end"] > row["start"], row
        there = set(range(row["start"] // LINE, row["end"] // LINE))
        assert row["records"] == len(there) and row["bytes"] == row["end"] - row["start"], row
        assert not lines & there, f"entered twice: {row}"
        lines |= there
        records += row["records"]
    return lines


def missing_lines(kafka, topic, writer):
    """Line numbers that were written and are not in Kafka."""
    seen = {int(value.split(b" ", 3)[2]) for value in oracle.values(oracle.consume(kafka.address, topic))}
    return set(range(writer.seq)) - seen


def outage(t, policy, lines=40000):
    """An agent with a spool for an eighth of these lines reads them all while no broker answers."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, producer=SMALL, spool={"max_size": "1MiB", "min_free": 0, "when_full": policy}).start()
    w.write(1000)
    agent.until_acked(1000)
    kafka.proxy.refuse()
    w.write(lines)

    def all_read(s):
        agent_module.check_books(s)
        assert s["state"] != "blocked", agent_module.brief(s)
        return s["records"]["read"] == t.ledger.total() and s["records"]["dropped"] > lines // 2

    s = agent.until(all_read, 60, "all lines are read, most are dropped", every=0)
    assert any("dropping" in r for r in s["reasons"]), s["reasons"]
    return kafka, topic, w, agent


def settle(t, agent, w):
    """Everything is acked or dropped, and what is written then is delivered: nobody waits for rows that are gone."""
    w.write(100)
    s = agent.until(lambda s: s["records"]["acked"] + s["records"]["dropped"] == t.ledger.total(), 60, "what is left is acked")
    agent_module.check_books(s)
    agent.stop()
    return agent.json("status")


def exactly_these(t, kafka, topic, agent, w, reason, s):
    lost = lost_lines(agent, w, reason)
    assert lost == missing_lines(kafka, topic, w), "the losses are not what is missing"
    assert len(lost) == s["records"]["dropped"] == s["losses"]["records"], (len(lost), s["records"], s["losses"])
    v = t.verdict(kafka, topic)
    assert v.missing == len(lost) and not (v.doubled or v.reordered or v.corrupt or v.unknown), str(v)
    return lost


@scenario(core=True)
def a_full_spool_drops_the_newest_lines_and_lists_each_of_them(t):
    """when_full: drop_newest through an outage: reading goes on, what is missing in Kafka is exactly what `losses` lists."""
    kafka, topic, w, agent = outage(t, "drop_newest")
    kafka.proxy.forward()
    s = settle(t, agent, w)
    lost = exactly_these(t, kafka, topic, agent, w, "drop_newest", s)
    assert min(lost) > 1000 + 2000, "what was spooled first stays"


@scenario(core=True)
def a_full_spool_drops_the_oldest_lines_and_lists_each_of_them(t):
    """when_full: drop_oldest through an outage: the newest lines are kept, what is missing is exactly what `losses` lists."""
    kafka, topic, w, agent = outage(t, "drop_oldest")
    kafka.proxy.forward()
    s = settle(t, agent, w)
    lost = exactly_these(t, kafka, topic, agent, w, "drop_oldest", s)
    assert max(lost) < t.ledger.total() - 2000, "the newest are kept"


@scenario()
def dropping_the_oldest_while_they_drain_drops_nothing_that_is_sent(t):
    """A slow broker, so that rows drain while others are dropped; it goes, the agent is killed: nothing doubled, the losses are exact."""
    kafka, topic, w, agent = outage(t, "drop_oldest")
    for i in range(4):
        kafka.proxy.forward()
        kafka.proxy.delay(0.4)
        before = agent.status()["records"]
        agent.until(lambda s: s["records"]["acked"] > before["acked"], 30, "rows are acked")
        w.write(20000)
        agent.until(lambda s: s["records"]["dropped"] >= before["dropped"] + 5000, 60, "others are dropped")
        if i % 2:
            kafka.proxy.refuse()
            agent.kill()
            agent.start()
    kafka.proxy.forward()
    s = settle(t, agent, w)
    exactly_these(t, kafka, topic, agent, w, "drop_oldest", s)
