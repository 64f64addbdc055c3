"""held.py - a lane that is held (its topic takes nothing, brokers do) has a share of memory and spool and holds up nobody."""
import statistics
import time

import oracle
import procs
from kafka import Cluster
from scenario import scenario

MiB = 1 << 20
LINES = 60000             # some 10 MiB: far more than the shares


def lane(status, topic):
    return next((l for l in status["lanes"] if l["topic"] == topic), None)


def held(status, topic):
    l = lane(status, topic)
    return l is not None and l["state"] == "held"


def state_of(status, path):
    return next((f["state"] for i in status["inputs"] for f in i["files"] if f["path"] == path), None)


class Story:
    """A healthy topic and one that takes nothing, 2 MiB of memory, max.block.ms of a minute: nobody may wait for that."""

    def __init__(self, t, kafka, bad, good=None):
        self.t, self.kafka, self.bad = t, kafka, bad
        self.good = good or t.topic(kafka)
        self.w_good = t.writer("good", path=t.path("logs", "good.log"))
        self.w_bad = t.writer("bad", path=t.path("logs", "bad.log"))
        self.agent = t.agent(kafka.address, None, inputs=[
            {"name": "good", "paths": [t.path("logs", "good.log")], "topic": self.good},
            {"name": "bad", "paths": [t.path("logs", "bad.log")], "topic": bad}],
            producer={"buffer.memory": "2MiB", "max.block.ms": "60s", "compression.type": "none", "linger.ms": 10},
            spool={"max_size": "4MiB"}, shutdown_timeout="120s")
        self.sent = 0

    def go(self, lines):
        """The bad file has far more than its shares before the agent starts."""
        self.w_bad.write(lines)
        self.agent.start()
        self.agent.until(lambda s: held(s, self.bad), 30, "the lane is held")

    def good_goes_on(self, rounds=20, lines=500):
        """The time in which lines of the healthy topic are acknowledged, as a rule; never as long as max.block.ms."""
        took = []
        for _ in range(rounds):
            self.w_good.write(lines)
            self.sent += lines
            begin = time.monotonic()
            self.agent.until(lambda s: self.acked(s) >= self.sent, 30, "healthy lines are acknowledged", every=0.01)
            took.append(time.monotonic() - begin)
        return statistics.median(took)

    def acked(self, status):
        return sum(p["records"] for p in status["producer"]["partitions"] if p["topic"] == self.good)

    def state_of_good(self, status):
        return state_of(status, self.w_good.path)

    def waits(self):
        return self.agent.until(lambda s: state_of(s, self.w_bad.path) == "waiting", 60, "the held lane's file waits")

    def all_arrive(self, timeout=120):
        s = self.agent.until_acked(self.t.ledger.total(), timeout)
        assert s["losses"]["records"] == 0 and s["uncertain"]["records"] == 0, s
        self.agent.stop()
        address = self.kafka.alive().address if isinstance(self.kafka, Cluster) else self.kafka.address
        both = oracle.consume(address, self.good) + oracle.consume(address, self.bad)
        v = oracle.judge(self.t.run_id, oracle.Ledger.load(self.t.ledger.path), oracle.triples(both))
        assert v.good, str(v)
        return s


def within_shares(s, max_size):
    assert s["spool"]["bytes"] <= max_size // 2, s["spool"]
    assert s["producer"]["buffer_used"] < s["producer"]["buffer_total"] // 2, s["producer"]


def used_up(s, topic):
    """Both shares, and it is said. Its lane's share of memory is used up for moments before, until it is spilled."""
    within_shares(s, 4 * MiB)
    l = lane(s, topic)
    return (any(topic in r and "its files wait" in r for r in s["reasons"]) and s["spool"]["bytes"] > MiB
            and l is not None and l["in_memory"] > 0 and l["spooled"] == s["records"]["spooled"])


def held_and_healed(t, kafka, bad, heal, good=None, fault=None):
    """The common story: only the held lane's file waits, within its shares; then all lines arrive once, in order."""
    story = Story(t, kafka, bad, good)
    if fault:
        fault()
    story.go(LINES)
    s = story.waits()
    took = story.good_goes_on()
    assert took < 2 * procs.SLOWNESS, f"healthy lines took {took:.1f} s"
    s = story.agent.until(lambda s: used_up(s, bad), 60, "its share is used up")
    assert lane(s, bad)["reason"], lane(s, bad)
    assert story.state_of_good(s) == "active", s["inputs"]
    heal()
    story.all_arrive()


@scenario(core=True)
def a_missing_topic_holds_up_its_own_file_and_no_other(t):
    """A topic that does not exist: an eighth of memory, half of the spool, then its file waits; created, it gets everything."""
    kafka = t.kafka()
    bad = f"{t.topic(kafka)}-missing"
    held_and_healed(t, kafka, bad, lambda: kafka.create_topic(bad, 1))


@scenario()
def a_topic_with_too_few_replicas_holds_up_its_own_file_and_no_other(t):
    """Two of two replicas are wanted and one node is killed: the same, until it is back."""
    cluster = Cluster(t.path("cluster"))
    t.closing.append(cluster.close)
    cluster.start()
    cluster.nodes[0].create_topic("good", partitions=1, replication=3)
    cluster.nodes[0].create_topic("bad", partitions=1, replication=2)
    gone = cluster.node(cluster.leaders("bad")[0])
    held_and_healed(t, cluster, "bad", gone.launch, good="good", fault=gone.kill)


@scenario()
def a_stop_does_not_wait_for_a_held_lane(t):
    """TERM while a lane is held: everything else is delivered, then the agent ends; the next one has all of it."""
    kafka = t.kafka()
    bad = f"{t.topic(kafka)}-missing"
    story = Story(t, kafka, bad)
    story.go(2000)
    story.w_good.write(500)
    begin = time.monotonic()
    story.agent.stop(timeout=180)
    took = time.monotonic() - begin
    assert took < 60, f"the stop took {took:.1f} s, of shutdown_timeout's 120"
    kafka.create_topic(bad, 1)
    story.agent.start()
    story.all_arrive()


# --- when_full: wait


def waits_through(t, kafka, away, codec):
    """An outage with many times what fits memory, in a file that is rotated and deleted, and in its successor."""
    topic = t.topic(kafka, partitions=2)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, None, inputs=[{"paths": [t.path("logs", "*.log")], "topic": topic, "when_full": "wait"}],
                    producer={"buffer.memory": "2MiB", "max.block.ms": 300, "compression.type": codec, "request.timeout.ms": 3000})
    w.write(500)
    agent.start()
    agent.until_acked(t.ledger.total())
    away()
    w.write(40000)
    s = agent.until(lambda s: state_of(s, w.path) == "waiting" and s["producer"]["buffer_used"] < MiB // 4
                    and s["records"]["in_memory"] < 20000, 60, "memory is given back")
    in_flight = s["records"]["in_memory"]       # what was sent keeps its place, without bytes
    w.rotate()
    w.write(20000)
    w.delete_rotated()
    s = agent.until(lambda s: len(s["inputs"][0]["files"]) > 1, 60, "the new file is seen")
    assert s["spool"]["rows"] == 0 and s["records"]["in_memory"] <= in_flight, s
    kafka.proxy.forward()
    s = agent.until_acked(t.ledger.total(), 120)
    assert s["losses"]["records"] == 0 and s["uncertain"]["records"] == 0, s
    assert "spilling" not in agent.log_text() and s["spool"]["rows"] == 0, s["spool"]
    agent.stop()
    t.expect_all(kafka, topic)


@scenario(core=True)
def lines_of_an_input_that_waits_are_never_spooled(t):
    """when_full: wait through an outage: memory is given back, the spool stays empty, all lines arrive once and in order."""
    kafka = t.kafka()
    waits_through(t, kafka, kafka.proxy.refuse, "none")


@scenario()
def an_input_that_waits_outlives_a_black_hole(t):
    """The same with requests that nobody answers: what is on its way keeps its place, and is built again from its file."""
    kafka = t.kafka()
    waits_through(t, kafka, kafka.proxy.black_hole, "lz4")
