"""expiry.py - the broker forgets a producer (producer.id.expiration.ms) while batches of it have no answer.

From then on it takes anything under that identity, also what it has already. What saves the lines is the log, for whoever may read it.
Each line has the same length, so offsets of the losses are line numbers.
"""
import os

import oracle
import unresolved
import wire
from kafka import Broker
from procs import until
from scenario import scenario

LINE = oracle.DEFAULT_LEN + 1           # with its LF
EXPIRY_MS = 3000
IMPATIENT = {"linger.ms": 50, "request.timeout.ms": 2000, "evidence.settle.ms": 1000}
PATIENT = {**IMPATIENT, "request.timeout.ms": 10000}    # what is in flight stays so while the tests arrange the rest


def started(t, paths=None, **producer):
    """A broker with ACLs that looks twice a second for producers to forget; an agent whose first 100 lines are acknowledged."""
    kafka = Broker(t.path("kafka"), producer_id_expiration_check_interval_ms=500, allow_everyone_if_no_acl_found="true",
                   authorizer_class_name="org.apache.kafka.metadata.authorizer.StandardAuthorizer")
    t.closing.append(kafka.close)
    kafka.start()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, paths=paths, producer={**PATIENT, **producer}, shutdown_timeout="1s").start()
    w.write(100)
    agent.until_acked(100)
    return kafka, topic, w, agent


def next_life(agent, **producer):
    agent.settings["producer"].update({**IMPATIENT, **producer})
    agent.write_config()
    agent.start()


def deny_read(kafka, topic):
    with kafka.client() as c:
        c.set_acls(topic, [(wire.ACL_READ, wire.ACL_DENY), (wire.ACL_WRITE, wire.ACL_ALLOW)])


def allow_all(kafka, topic):
    with kafka.client() as c:
        c.set_acls(topic, [])
        until(lambda: c.described(topic, 0)[0] == 0, 20, "everybody may read again")


def producers(kafka, topic):
    """Those that the leader remembers."""
    with kafka.client() as c:
        error, rows = c.described(topic, 0)
    assert error == 0, error
    return [row[0] for row in rows]


def forget(kafka, topic):
    assert producers(kafka, topic), "until now it remembers"
    with kafka.client() as c:
        c.alter_brokers({"producer.id.expiration.ms": EXPIRY_MS})
    until(lambda: not producers(kafka, topic), 30, "the broker forgot the producer")


def told(t, kafka, topic, agent, lines):
    """The next life finds in the log what is there: nothing doubled, nothing uncertain."""
    s = agent.until_acked(lines, 60)
    r = s["records"]
    assert r["read"] == r["acked"] == lines and not s["uncertain"]["batches"] and not s["losses"]["events"], s
    agent.stop()
    assert agent.json("losses") == []
    t.expect_all(kafka, topic)


@scenario()
def what_was_in_flight_is_found_in_the_log_of_a_broker_that_forgot_the_producer(t):
    """kill -9, then the broker forgets: of two batches the one that is in the log is acknowledged, the other sent, uncertain 0."""
    kafka, topic, w, agent = started(t)
    unresolved.half_known(t, kafka, topic, agent, w)
    forget(kafka, topic)
    next_life(agent)
    told(t, kafka, topic, agent, 200)


@scenario()
def a_broker_that_forgot_and_may_not_be_read_makes_lines_uncertain(t):
    """The same without READ: all lines arrive, what is doubled stands in `losses` as `uncertain`, by file and bytes, and in no loss."""
    kafka, topic, w, agent = started(t, **{"producer.id.expiration.ms": EXPIRY_MS})
    unresolved.half_known(t, kafka, topic, agent, w)
    forget(kafka, topic)
    deny_read(kafka, topic)
    # It is said after two seconds, and until no earlier request can be under way any more.
    next_life(agent, **{"evidence.settle.ms": 5000})
    agent.until(lambda s: any("READ" in r for r in s["reasons"]), 20, "it is said what is not permitted", every=0.01)
    w.write(50)
    s = agent.until_acked(250, 60)
    r = s["records"]
    assert r["read"] == r["acked"] == 250 and not r["dropped"] and not r["rejected"], r
    assert s["uncertain"] == {"batches": 2, "records": 100} and not s["losses"]["events"] and not s["losses"]["records"], s
    agent.stop()
    rows = agent.json("losses")
    assert [(x["reason"], x["path"], x["start"], x["end"], x["records"], x["bytes"]) for x in rows] == [
        ("uncertain", w.path, first * LINE, (first + 50) * LINE, 50, 50 * LINE) for first in (100, 150)], rows
    assert agent.json("status")["uncertain"] == {"batches": 2, "records": 100}
    allow_all(kafka, topic)
    numbers = [int(v.split(b" ", 3)[2]) for v in oracle.values(oracle.consume(kafka.address, topic))]
    # The broker had the first of the two; everything of it that comes twice is in the list above.
    assert numbers == [*range(150), *range(100, 250)], f"{len(numbers)} records"


@scenario()
def a_broker_that_may_not_be_read_and_remembers_doubles_nothing(t):
    """Without READ, but nothing is old enough to be forgotten: the repeats are recognised, uncertain 0."""
    kafka, topic, w, agent = started(t)
    unresolved.half_known(t, kafka, topic, agent, w)
    deny_read(kafka, topic)
    next_life(agent)
    s = agent.until_acked(200, 60)
    assert not s["uncertain"]["batches"] and not s["losses"]["events"], s
    agent.stop()
    allow_all(kafka, topic)
    t.expect_all(kafka, topic)


@scenario()
def a_broker_that_forgets_while_it_cannot_be_reached_doubles_nothing(t):
    """No kill: answers vanish, then nobody can connect until the broker forgot; the agent looks into the log first."""
    kafka, topic, w, agent = started(t)
    unresolved.reach(kafka, topic, w, 50)
    unresolved.vanish(kafka, agent, w, 50, batches=2)
    kafka.proxy.refuse()
    forget(kafka, topic)
    kafka.proxy.forward()
    told(t, kafka, topic, agent, 200)


@scenario()
def what_a_stop_spooled_without_an_answer_is_found_in_the_log(t):
    """TERM with two batches in flight, their file deleted, the broker forgets: the spooled rows have their identity, doubled 0."""
    kafka, topic, w, agent = started(t)
    unresolved.reach(kafka, topic, w, 50)
    unresolved.vanish(kafka, agent, w, 50, batches=2)
    agent.stop()
    assert agent.json("status")["records"]["spooled"] == 100, agent.json("status")["records"]
    os.unlink(w.path)
    kafka.proxy.cut()
    kafka.proxy.forward()
    forget(kafka, topic)
    next_life(agent)
    told(t, kafka, topic, agent, 200)
