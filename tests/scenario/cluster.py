"""cluster.py - the cluster changes under the agent: topics made anew, brokers on other addresses, quotas."""
import re
import time

import kafka as kafka_module
import oracle
from proxy import Proxy
from procs import until
from scenario import scenario

UNKNOWN = "UNKNOWN_TOPIC"
LINE = oracle.DEFAULT_LEN + 1           # with its LF


def delete(broker, topic):
    """Deletes a topic and waits until the broker knows it no more."""
    with broker.client() as c:
        assert c.delete_topic(topic) == 0

    def gone():
        with broker.client() as c:
            return c.metadata([topic])["topics"].get(topic, (3,))[0] == 3

    until(gone, 30, f"topic {topic} is gone", every=0.02)


def numbers(broker, topic):
    """The line numbers in a topic of one partition and one file, in its order."""
    return [int(r[3].split(b" ", 3)[2]) for r in oracle.consume(broker.address, topic)]


def expect_from(broker, topic, first, total):
    """The topic has the lines first..total-1, each once and in order, and no other."""
    got = numbers(broker, topic)
    assert got == list(range(first, total)), (f"{len(got)} records, expected {total - first} from {first} on; begins {got[:3]}, "
                                              f"ends {got[-3:]}, {len(got) - len(set(got))} doubled")


def recorded(s):
    """All that was answered to this life counts as acked: that is recorded a little later."""
    return s["records"]["acked"] >= sum(p["records"] for p in s["producer"]["partitions"])


@scenario(core=True)
def a_topic_made_anew_under_load_gets_all_that_the_old_one_had_not_taken(t):
    """The topic is deleted and made again while lines flow, three times: what was acknowledged went with the old topic,
    every other line is in the new one, once and in order."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    agent = t.agent(kafka.address, topic, producer={"batch.size": "8KiB", "linger.ms": 0}).start()
    feed = t.feeder([t.writer("app")], lines_per_s=8000)
    acked = 0
    for _ in range(3):
        agent.until(lambda s: s["records"]["acked"] >= acked + 3000, 60, "lines flow", every=0.01)
        delete(kafka, topic)
        s = agent.until(lambda s: any(UNKNOWN in r for r in s["reasons"]) and recorded(s), 60, "the agent says that the topic is unknown")
        acked = s["records"]["acked"]
        kafka.create_topic(topic)
        agent.until(lambda s: not s["reasons"], 60, "the reason is over")
    feed.stop()
    s = agent.until_acked(t.ledger.total())
    assert s["records"]["rejected"] == s["records"]["dropped"] == 0, s["records"]
    agent.stop()
    expect_from(kafka, topic, acked, t.ledger.total())


@scenario(core=True)
def what_was_in_flight_at_a_kill_goes_to_the_topic_made_anew(t):
    """Answers are held back, the agent is killed, the topic is deleted and made again: the lines without an answer are new
    data for the new topic, none of them twice, none missing."""
    kafka = t.own_kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, producer={"batch.size": "8KiB", "linger.ms": 0}).start()
    w.write(1000)
    agent.until_acked(1000)
    kafka.proxy.hold_acks()
    w.write(2000)
    agent.until(lambda s: s["records"]["in_memory"] == 2000, 30, "lines are in flight")
    until(lambda: kafka.count(topic) > 1000, 30, "some of them reached the topic")
    agent.kill()
    kafka.proxy.forward()
    delete(kafka, topic)
    kafka.create_topic(topic)
    agent.start()
    w.write(500)
    s = agent.until_acked(3500)
    assert s["records"]["read"] == 3500 and s["records"]["dropped"] == s["records"]["rejected"] == 0, s["records"]
    # What the old topic had is gone with it: nobody can see it twice.
    assert s["uncertain"] == {"batches": 0, "records": 0} and s["losses"]["events"] == 0, s
    agent.stop()
    assert agent.json("losses") == []
    expect_from(kafka, topic, 1000, 3500)


@scenario()
def batches_of_another_cluster_are_new_data_for_this_one(t):
    """Killed with lines in flight, then pointed at another cluster: they are sent there once, under an id of that cluster."""
    first, second = t.own_kafka(), t.kafka()
    topic = t.topic(first)
    second.create_topic(topic)
    w = t.writer("app")
    agent = t.agent(first.proxied, topic, producer={"batch.size": "8KiB", "linger.ms": 0}).start()
    w.write(1000)
    agent.until_acked(1000)
    first.proxy.hold_acks()
    w.write(2000)
    agent.until(lambda s: s["records"]["in_memory"] == 2000 and s["producer"]["in_flight_batches"] >= 5, 30, "lines are in flight")
    until(lambda: first.count(topic) > 1000, 30, "some of them reached the first cluster")
    agent.kill()
    first.proxy.forward()
    there = set(numbers(first, topic)) - set(range(1000))
    assert there, "the first cluster has some of them"
    agent.settings["producer"]["bootstrap.servers"] = second.address
    agent.write_config()
    agent.start()
    s = agent.until_acked(3000)
    # The first cluster may have those that were recorded as in flight, and cannot be asked.
    assert s["uncertain"]["batches"] >= 5 and 0 < s["uncertain"]["records"] <= 2000 and s["losses"]["records"] == 0, s
    agent.stop()
    assert agent.log_text().count("counted as uncertain") == s["uncertain"]["batches"]
    listed = []
    for row in agent.json("losses"):
        assert row.keys() >= {"time", "reason", "path", "start", "end", "records", "bytes"}, row
        assert row["reason"] == "uncertain" and row["path"] == w.path and row["bytes"] == row["end"] - row["start"], row
        lines = range(row["start"] // LINE, row["end"] // LINE)
        assert len(lines) == row["records"] and row["start"] % LINE == row["end"] % LINE == 0, row
        listed += lines
    assert len(listed) == len(set(listed)) == s["uncertain"]["records"], "each line is listed once"
    assert there <= set(listed) <= set(range(1000, 3000)), f"{len(there)} are in both clusters, {len(listed)} are listed"
    expect_from(second, topic, 1000, 3000)


def quota(broker, client_id, rate):
    what = ["--add-config", f"producer_byte_rate={rate}"] if rate else ["--delete-config", "producer_byte_rate"]
    kafka_module.tool("kafka.admin.ConfigCommand", "--bootstrap-server", broker.address, "--alter", *what, "--entity-type", "clients",
                      "--entity-name", client_id)


@scenario()
def a_quota_slows_down_and_breaks_nothing(t):
    """producer_byte_rate 300 kB/s: the lines come at about that pace, no request times out, no connection is lost."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    quota(kafka, "slow-one", 300000)
    t.writer("app").write(int(15e6 / (oracle.DEFAULT_LEN + 1)))
    total = t.ledger.total()
    agent = t.agent(kafka.address, topic, producer={"client.id": "slow-one", "request.timeout.ms": 4000, "delivery.timeout.ms": 8000,
                                                    "batch.size": "64KiB", "compression.type": "none"}).start()
    begin = time.monotonic()
    agent.until(lambda s: s["records"]["acked"] >= total // 2, 120, "half of it is acked")
    took = time.monotonic() - begin
    s = agent.status()
    assert not s["reasons"], s["reasons"]
    assert took > 10, f"7.5 MB in {took:.1f} s: the quota did not count"
    quota(kafka, "slow-one", None)
    agent.until_acked(total)
    agent.stop()
    assert not re.search("timed out|closed the connection", agent.log_text()), agent.tail()
    t.expect_all(kafka, topic)


@scenario()
def max_rate_holds_and_small_traffic_stays_quick(t):
    """max_rate 500 kB/s: a large file takes as long as that says."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    size = 3_000_000
    t.writer("app").write(size // (oracle.DEFAULT_LEN + 1))
    agent = t.agent(kafka.address, topic, producer={"max_rate": "500000/s", "batch.size": "16KiB", "compression.type": "none"})
    begin = time.monotonic()
    agent.start()
    agent.until_acked(t.ledger.total())
    took = time.monotonic() - begin
    # The other limit is far: a busy machine is no wrong rate. Bits taken for bytes would be eight times as long.
    assert 5 < took < 40, f"{size} bytes at 500 kB/s took {took:.1f} s"
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def brokers_on_other_addresses_are_found_by_bootstrap_servers(t):
    """All brokers come back on other ports; only the bootstrap address, a proxy, stays: every line once."""
    kafka = t.own_kafka()
    topic = t.topic(kafka)
    door = Proxy(kafka.port)
    t.closing.append(door.close)
    w = t.writer("app")
    agent = t.agent(f"127.0.0.1:{door.port}", topic).start()
    w.write(2000)
    agent.until_acked(2000)
    kafka.stop()
    w.write(2000)
    kafka._configure()
    door.target = kafka.port
    kafka.start()
    agent.until_acked(4000)
    s = agent.until(lambda s: not s["reasons"], 30, "no reason is left")
    assert [b["port"] for b in s["producer"]["brokers"] if "port" in b] in ([], [kafka.port]), s["producer"]["brokers"]
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_broker_restart_leaves_no_reason_with_an_idle_agent(t):
    """Nothing is to be sent while the broker is restarted: `reasons` is empty again without a new line."""
    kafka = t.own_kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(100)
    agent = t.agent(kafka.address, topic).start()
    agent.until_acked(100)
    kafka.stop()
    agent.until(lambda s: s["reasons"], 30, "it is said that the broker is away")
    kafka.start()
    agent.until(lambda s: not s["reasons"], 30, "no reason is left")
    w.write(100)
    agent.until_acked(200)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_topic_that_brokers_make_on_demand_is_written(t):
    """auto.create.topics.enable: the first line makes the topic."""
    kafka = kafka_module.Broker(t.path("kafka"), auto_create_topics_enable="true")
    t.closing.append(kafka.close)
    kafka.start()
    t.writer("app").write(1000)
    agent = t.agent(kafka.address, "made-by-itself").start()
    agent.until_acked(1000)
    agent.stop()
    t.expect_all(kafka, "made-by-itself")
