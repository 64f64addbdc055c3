"""gone.py - a file is deleted while the agent is dead, and lines of it were in flight together with those of a file that lives."""
import os
import signal

import oracle
from fake import Fake
from killloop import Corpse
from procs import until
from scenario import scenario

# Nothing of an earlier life can come any more a second after the start.
PRODUCER = {"linger.ms": 300, "request.timeout.ms": 500, "evidence.settle.ms": 500}


def killed_with_both_in_flight(t, topic, address, before, sent):
    """One batch with 50 lines of each of two files is unanswered, and the agent dead. The first file is deleted."""
    a, b = t.writer("a"), t.writer("b")
    agent = t.agent(address, topic, producer={**PRODUCER, "request.timeout.ms": 30000}).start()
    a.write(100)
    b.write(100)
    agent.until_acked(200)
    before()
    with agent.asleep():                # both are there when it looks: one batch, however long a busy disk takes
        a.write(50)
        b.write(50)
    agent.until(lambda s: s["producer"]["in_flight_batches"] >= 1 and s["records"]["in_memory"] == 100, 20, "the batch is in flight")
    sent()
    agent.kill()
    assert Corpse(agent.state_dir, t.path("corpse")).ledger == 1, "lines of both files are in one batch"
    os.unlink(a.path)
    agent.settings["producer"].update(PRODUCER)
    agent.write_config()
    return b, agent


def of_a_real_broker(t, written):
    kafka = t.kafka()
    topic = t.topic(kafka)

    def arrived():
        if written:
            until(lambda: kafka.count(topic) == 300, 20, "the broker has the batch")

    b, agent = killed_with_both_in_flight(t, topic, kafka.proxied, kafka.proxy.swallow if written else kafka.proxy.black_hole,
                                          arrived)
    kafka.proxy.cut()
    kafka.proxy.forward()
    return kafka, topic, b, agent


def expect_all_but_the_deleted_lines(t, kafka, topic, agent):
    s = agent.until_acked(t.ledger.total() - 50)
    assert s["records"]["dropped"] == 50 and s["losses"]["records"] == 50 and s["uncertain"]["records"] == 0, (s["records"], s["uncertain"])
    losses = [x for x in agent.json("losses") if x["reason"] == "gone"]
    assert sum(x["records"] for x in losses) == 50 and all(x["path"].endswith("a.log") for x in losses), losses
    agent.stop()
    v = t.verdict(kafka, topic)
    assert v.doubled == 0 and v.reordered == 0 and v.missing == 50, str(v)


def dies_at_commits(t, agent, each, before_each=lambda: None):
    """Lives end before and behind the commits of these numbers, until the lines are given up: how many come first depends on what
    is recorded together."""
    dropped = []
    for n in each:
        for point in ("ledger.before", "ledger.after"):
            agent.env = {"SPILLWAY_KILL": f"{point}:{n}"}
            agent.start(wait=False)
            before_each()
            until(lambda: not agent.running(), 20, f"the agent dies at {point}:{n}")
            dropped.append(Corpse(agent.state_dir, t.path("corpse")).dropped)
        if 50 in dropped:
            break
    assert set(dropped) == {0, 50}, dropped
    agent.env = {}


def state_of(agent, path, s):
    return (agent.file(path, s) or {}).get("state")


@scenario(core=True)
def what_was_in_kafka_before_its_file_was_deleted_is_acknowledged(t):
    """The batch was written: nothing is lost, nothing is doubled, and the books say so."""
    kafka, topic, b, agent = of_a_real_broker(t, written=True)
    agent.start()
    b.write(30)
    s = agent.until_acked(330)
    assert s["records"]["dropped"] == 0 and s["losses"]["records"] == 0 and s["uncertain"]["records"] == 0, (s["records"], s["uncertain"])
    agent.stop()
    t.expect_all(kafka, topic)


@scenario(core=True)
def a_deleted_file_takes_no_lines_of_others_with_it(t):
    """The batch was not written: the deleted file's lines are counted as dropped, the other one's arrive once, in order."""
    kafka, topic, b, agent = of_a_real_broker(t, written=False)
    agent.start()
    b.write(30)
    expect_all_but_the_deleted_lines(t, kafka, topic, agent)


@scenario()
def a_kill_at_each_commit_of_giving_up_loses_and_doubles_nothing_more(t):
    """Lives end at the first commits behind their start, until the lines are given up; the same are lost as in one life, and
    counted once."""
    kafka, topic, b, agent = of_a_real_broker(t, written=False)
    dies_at_commits(t, agent, range(1, 9), lambda: b.write(10))
    agent.start()
    expect_all_but_the_deleted_lines(t, kafka, topic, agent)


def left(agent):
    """The rows of batches that stand in the ledger, after a stop."""
    rc, out, err = agent.command("spool", "verify")
    assert rc == 0, (out, err)
    return [row["records"] for row in agent.json("spool", "ls") if row["in_flight"]]


def last_file_deleted(agent, b):
    """A life without a broker has the second file open when that is deleted as well."""
    agent.start()
    agent.until(lambda s: state_of(agent, b.path, s) == "active", 20, "the second file is open")
    os.unlink(b.path)
    agent.until(lambda s: state_of(agent, b.path, s) == "deleted", 20, "its deletion is seen")


def all_files_deleted_before_anybody_answers(t, written):
    """Such a life is stopped, and another one, that finds neither file. Then the broker is back."""
    kafka, topic, b, agent = of_a_real_broker(t, written)
    kafka.proxy.refuse()
    last_file_deleted(agent, b)
    agent.stop()
    assert left(agent) == [50], left(agent)
    s = agent.start().status()
    assert s["records"]["spooled"] == 50 and s["records"]["in_memory"] == 50, s["records"]
    agent.stop()
    assert left(agent) == [50], left(agent)
    kafka.proxy.forward()
    return kafka, topic, agent


@scenario(core=True)
def a_stop_keeps_what_is_left_of_a_batch_and_throws_it_away_where_kafka_has_it(t):
    """Both files are gone when a broker answers, one of them since before the start. It has the batch: nothing is lost or doubled."""
    kafka, topic, agent = all_files_deleted_before_anybody_answers(t, written=True)
    agent.start()
    s = agent.until_acked(300)
    assert s["records"]["dropped"] == 0 and s["losses"]["records"] == 0 and s["uncertain"]["records"] == 0, (s["records"], s["uncertain"])
    agent.stop()
    t.expect_all(kafka, topic)


@scenario(core=True)
def a_stop_keeps_what_is_left_of_a_batch_and_sends_it_where_kafka_has_it_not(t):
    """The same, and the broker has nothing of it: only the lines of the file that no life after the kill could read are lost."""
    kafka, topic, agent = all_files_deleted_before_anybody_answers(t, written=False)
    agent.start()
    expect_all_but_the_deleted_lines(t, kafka, topic, agent)


@scenario()
def a_kill_at_each_commit_of_what_is_left_loses_and_doubles_nothing_more(t):
    """Killed at the commit that keeps it: as if nothing had been stopped, or as kept. Then at the commits that send it."""
    kafka, topic, b, agent = of_a_real_broker(t, written=False)
    kafka.proxy.refuse()
    agent.env = {"SPILLWAY_KILL": "spill.after:1"}
    last_file_deleted(agent, b)
    agent.signal(signal.SIGTERM)
    until(lambda: not agent.running(), 20, "the agent dies when it has kept what is left")
    kafka.proxy.forward()
    dies_at_commits(t, agent, [1] * 8)
    agent.start()
    expect_all_but_the_deleted_lines(t, kafka, topic, agent)


@scenario()
def what_is_left_stays_in_a_file_that_stays(t):
    """The second file is not deleted: the stop keeps nothing, and the first one may still come back."""
    kafka, topic, b, agent = of_a_real_broker(t, written=False)
    kafka.proxy.refuse()
    agent.start()
    agent.until(lambda s: state_of(agent, b.path, s) == "active", 20, "the second file is open")
    agent.stop()
    assert left(agent) == [], left(agent)
    kafka.proxy.forward()
    agent.start()
    expect_all_but_the_deleted_lines(t, kafka, topic, agent)


@scenario()
def where_nobody_may_look_the_other_files_lines_are_sent_again_as_uncertain(t):
    """Without the right to read: the batch was written, what is left of it is sent once more and counted as uncertain."""
    fake = Fake(t.shared.binary, "4.1", words=t.path("fake.words"))
    t.closing.append(fake.close)

    def silent():
        fake.tell("fault", 0, "swallow", 0, 1000)

    def arrived():
        until(lambda: fake.count("one") == 300, 20, "the broker has the batch")

    b, agent = killed_with_both_in_flight(t, "one", fake.address, silent, arrived)
    fake.tell("heal")
    fake.tell("deny-read", "one", 1)
    agent.start()
    b.write(30)
    s = agent.until_acked(280)
    assert s["records"]["dropped"] == 50 and s["uncertain"]["records"] == 50, (s["records"], s["uncertain"])
    agent.stop()
    v = oracle.judge(t.run_id, oracle.Ledger.load(t.ledger.path), fake.records("one", t.dir))
    assert v.doubled == 50 and v.missing == 0, str(v)
