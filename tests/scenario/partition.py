"""partition.py - which partition lines and records go to, and that each stays there once, whatever dies."""
import os
import shutil
import sqlite3
import time

import oracle
import procs
import wire
from kafka import Cluster
from scenario import scenario

ROUND_ROBIN = {"partitioner.class": "round_robin"}
FILE = {"partitioner.class": "file"}


def per_partition(records, count):
    rows = [0] * count
    for r in records:
        rows[r[0]] += 1
    return rows


def partitions_of_files(records):
    """{file id: the partitions that its lines are in}."""
    where = {}
    for partition, _, _, value in records:
        where.setdefault(value.split(b" ", 2)[1], set()).add(partition)
    return where


def shipped(t, kafka, agent, topic, **how):
    agent.until_acked(t.ledger.total())
    agent.stop()
    t.expect_all(kafka, topic, **how)
    return oracle.consume(kafka.address, topic)


def send(t, kafka, topic, lines, *arguments):
    tool = os.path.join(os.path.dirname(t.shared.binary), "tests", "lib", "tool_send")
    with open(t.path("lines"), "w+b") as f:
        f.write(b"".join(b"%s\n" % x for x in lines))
        f.seek(0)
        rc, out, err = procs.run([tool, kafka.address, topic, *arguments], stdin=f)
    return rc, (out + err).decode()


def refusal(t, kafka, topic, *arguments):
    """What is said of a record that is not taken; None where the broker's answer came too late to say more than that."""
    rc, err = send(t, kafka, topic, [b"never"], *arguments)
    assert rc, err
    return None if "not in metadata" in err else (rc, err)


@scenario(core=True)
def all_lines_of_a_file_are_in_one_partition_over_rotation_and_restart(t):
    """With `partitioner.class: file`, eight logs are renamed while the agent runs and while it does not, one of them into names that match too."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=6)
    writers = [t.writer(f"app{i}") for i in range(8)]
    paths = [os.path.join(t.logs, "*.log"), os.path.join(t.logs, "app0.log*")]
    agent = t.agent(kafka.address, topic, paths=paths, producer=FILE).start()
    for _ in range(3):
        for w in writers:
            w.write(700)
            w.rotate()
            w.write(300)
        agent.until_acked(t.ledger.total())
        agent.stop()
        for w in writers:
            w.write(50)
            w.rotate()
            w.write(50)
        agent.start()
    records = shipped(t, kafka, agent, topic)
    where = partitions_of_files(records)
    # Which ones depends on the paths, and so on the directory of this run.
    assert where == {w.id: {wire.partition_of_key(w.path.encode(), 6)} for w in writers}, where


@scenario()
def round_robin_gives_each_partition_the_same_number_of_lines(t):
    """With `partitioner.class: round_robin`, counts differ by one at most for each life of the agent, which begins at partition 0."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=7)
    writers = [t.writer(n) for n in ("a", "b", "c")]
    agent = t.agent(kafka.address, topic, producer=ROUND_ROBIN)
    for n in (5003, 2001):
        agent.start()
        for w in writers:
            w.write(n)
        agent.until_acked(t.ledger.total())
        agent.stop()
    rows = per_partition(oracle.consume(kafka.address, topic), 7)
    assert max(rows) - min(rows) <= 2, rows
    t.expect_all(kafka, topic)


@scenario()
def random_uses_all_partitions_alike_with_and_without_keys(t):
    """With `partitioner.class: random`, each of six partitions has its sixth of 12000 lines with a key, give or take a tenth of it."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=6)
    w = t.writer("app")
    inputs = [{"paths": [os.path.join(t.logs, "*.log")], "topic": topic, "key": "%{file}"}]
    agent = t.agent(kafka.address, topic, inputs=inputs, producer={"partitioner.class": "random"}).start()
    w.write(12000)
    records = shipped(t, kafka, agent, topic)
    rows = per_partition(records, 6)
    assert all(1800 <= n <= 2200 for n in rows), rows
    assert {r[2] for r in records} == {b"app.log"}


@scenario()
def ignored_keys_are_sent_but_do_not_decide(t):
    """With `partitioner.ignore.keys`, lines of one key fill all partitions, and still have their key."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=6)
    w = t.writer("app")
    inputs = [{"paths": [os.path.join(t.logs, "*.log")], "topic": topic, "key": "%{file}"}]
    agent = t.agent(kafka.address, topic, inputs=inputs, producer={"partitioner.ignore.keys": True, "batch.size": "8KiB"}).start()
    w.write(10000)
    records = shipped(t, kafka, agent, topic)
    rows = per_partition(records, 6)
    assert all(n > 0 for n in rows), rows
    assert {r[2] for r in records} == {b"app.log"}


@scenario()
def only_records_of_high_priority_are_in_partition_0(t):
    """With `partitioner.class: priority`, the header decides; keys and all the rest share the other partitions."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=4)
    priority = "partitioner.class=priority"
    for lines, arguments in (([b"high %d" % i for i in range(300)], ("-h", "priority=high")),
                             ([b"low %d" % i for i in range(300)], ("-h", "priority=low")),
                             ([b"none %d" % i for i in range(5000)], ("batch.size=1000",)),
                             ([b"k%d\tkeyed %d" % (i, i) for i in range(300)], ("-k",))):
        rc, err = send(t, kafka, topic, lines, priority, *arguments)
        assert rc == 0, err
    records = oracle.consume(kafka.address, topic)
    assert sorted(oracle.values(records, 0)) == sorted(b"high %d" % i for i in range(300))
    rows = per_partition(records, 4)
    assert sum(rows) == 5900 and min(rows[1:]) > 500, rows
    w = t.writer("app")
    agent = t.agent(kafka.address, topic, producer={"partitioner.class": "priority", "batch.size": "8KiB"}).start()
    w.write(5000)
    agent.until_acked(5000)
    agent.stop()
    assert kafka.ends(topic)[0] == 300


@scenario()
def lines_flow_around_a_dead_broker(t):
    """Three brokers, one copy of each partition, one broker dies: without waiting, all lines go to the others."""
    cluster = Cluster(t.path("cluster"))
    t.closing.append(cluster.close)
    cluster.start()
    for topic in ("sticky", "turns"):
        cluster.nodes[0].create_topic(topic, 3, **{"min.insync.replicas": 1})
    sticky, turns = t.writer("sticky"), t.writer("turns")
    one = t.agent(cluster.address, "sticky", paths=[sticky.path], name="one", producer={"batch.size": "8KiB"}).start()
    two = t.agent(cluster.address, "turns", paths=[turns.path], name="two", producer=ROUND_ROBIN).start()
    for w, agent in ((sticky, one), (turns, two)):
        w.write(3000)
        agent.until_acked(3000)
    dead = cluster.node(cluster.leaders("sticky")[1])
    dead.kill()
    sticky.write(6000)
    one.until_acked(9000, 15)                   # well before any time-out of the producer
    procs.until(lambda: -1 in cluster.leaders("turns").values(), 60, "the cluster knows that a partition has no leader")
    turns.write(3000)                           # what was placed before the agent knew waits for its partition
    two.until(lambda s: s["records"]["acked"] >= 4500, 30, "the others go on")
    dead.launch()
    two.until_acked(6000)
    for agent in (one, two):
        agent.stop()
    counts = oracle.Ledger.load(t.ledger.path)
    records = [r for topic in ("sticky", "turns") for r in oracle.consume(cluster.alive().address, topic)]
    v = oracle.judge(t.run_id, counts, oracle.triples(records))
    assert v.good, str(v)


def killed_at_random(t, partitions, producer, **how):
    """Eight kills while four files grow and rotate. Returns all records."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=partitions)
    writers = [t.writer(n) for n in ("a", "b", "c", "d")]
    agent = t.agent(kafka.address, topic, paths=[os.path.join(t.logs, "*.log*")],
                    producer={"batch.size": "8KiB", "linger.ms": 5, **producer})
    feed = t.feeder(writers, lines_per_s=8000, rotate_every=5000)
    for _ in range(8):
        agent.start(wait=False)
        time.sleep(t.rng.uniform(0.05, 0.8))    # a random moment
        agent.kill()
    feed.stop()
    agent.start()
    return shipped(t, kafka, agent, topic, **how)


@scenario(core=True)
def kill_9_with_round_robin_loses_and_doubles_nothing(t):
    """Eight kills; a recorded batch keeps its partition. Other lines get a new turn, so the order in a partition is not judged."""
    rows = per_partition(killed_at_random(t, 5, ROUND_ROBIN, between_partitions=True), 5)
    assert min(rows) > 0, rows


@scenario()
def kill_9_with_lines_placed_by_file_loses_and_doubles_nothing(t):
    """Eight kills; each file stays in its partition through all of them."""
    where = partitions_of_files(killed_at_random(t, 5, FILE))
    assert all(len(p) == 1 for p in where.values()), where


@scenario()
def partitions_that_are_added_are_used(t):
    """A partition that does not exist yet is waited for; unkeyed lines use new ones; a record for one that never comes is refused."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=2)
    fixed, free = t.writer("fixed"), t.writer("free")
    inputs = [{"paths": [fixed.path], "topic": topic, "partition": 3}, {"paths": [free.path], "topic": topic}]
    agent = t.agent(kafka.address, topic, inputs=inputs, producer={"batch.size": "8KiB"}).start()
    fixed.write(500)
    free.write(2000)
    agent.until(lambda s: s["records"]["acked"] == 2000 and s["records"]["in_memory"] == 500, 30, "lines of partition 3 wait")
    rc, err = procs.until(lambda: refusal(t, kafka, topic, "-p", "7", "max.block.ms=500"), 30, "the topic is known in time")
    assert rc == 75 and "partition 7 does not exist" in err and "has 2," in err, (rc, err)
    kafka.grow_topic(topic, 4)
    agent.until_acked(2500, 20)
    for _ in range(20):
        free.write(1000)
        agent.until_acked(t.ledger.total())
        if kafka.ends(topic)[2]:
            break
    agent.stop()
    records = oracle.consume(kafka.address, topic)
    assert min(per_partition(records, 4)) > 0, per_partition(records, 4)
    assert partitions_of_files(records)[b"fixed"] == {3}
    t.expect_all(kafka, topic)


# --- keyed lines while nobody says how many partitions there are

KEYED = {"buffer.memory": "1MiB", "batch.size": "8KiB", "max.block.ms": 300, "linger.ms": 5}


def keyed_agent(t, kafka, topic):
    inputs = [{"paths": [os.path.join(t.logs, "*.log")], "topic": topic, "key": "%{file}"}]
    return t.agent(kafka.proxied, topic, inputs=inputs, producer=KEYED)


def rows_of_lanes(t, agent):
    """{partition: rows} of the spool of an agent that was killed, read in a copy: looking changes nothing."""
    scratch = t.path("rows")
    shutil.rmtree(scratch, ignore_errors=True)
    os.makedirs(scratch)
    for name in ("spool.db", "spool.db-wal"):
        shutil.copy(os.path.join(agent.state_dir, name), scratch)
    db = sqlite3.connect(os.path.join(scratch, "spool.db"))
    rows = dict(db.execute("SELECT l.partition, count(*) FROM rows r JOIN lanes l ON l.id = r.lane GROUP BY 1"))
    db.close()
    return rows


def lines_that_vanish(t, agent, writers, lines):
    """Written, rotated away and deleted while the broker is; all that is left of them is in the spool."""
    for w in writers:
        w.write(lines)
        w.rotate()
        w.write(lines // 10)
    agent.until(lambda s: s["records"]["read"] == t.ledger.total(), 60, "all lines are read")
    for w in writers:
        w.delete_rotated()
    agent.until(lambda s: s["records"]["spooled"] and not s["records"]["in_memory"], 60, "all of them are spooled")


def assert_in_place(kafka, topic, partitions):
    used = set()
    for partition, _, key, value in oracle.consume(kafka.address, topic):
        assert key == value.split()[1] + b".log", (key, value[:40])
        assert partition == wire.partition_of_key(key, partitions), f"{key!r} in partition {partition}"
        used.add(partition)
    assert len(used) > 1, used


@scenario(core=True)
def keyed_lines_of_a_first_start_in_an_outage_are_placed_when_it_ends(t):
    """Nobody knows the topic yet; files are rotated and deleted, lines spilled; kill -9 strikes before, in and behind the placing."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=5)
    kafka.proxy.refuse()
    writers = [t.writer(f"app{i}") for i in range(7)]
    agent = keyed_agent(t, kafka, topic).start()
    lines_that_vanish(t, agent, writers, 6000)
    agent.kill()
    rows = rows_of_lanes(t, agent)
    assert set(rows) == {-2}, rows
    kafka.proxy.forward()
    for place in ("place.before:1", "place.before:2", "place.after:1", "place.after:1"):
        for w in writers:
            w.write(100)
        agent.env = {"SPILLWAY_KILL": place}
        agent.start(wait=False)
        assert agent.wait() == -9, place
        left = rows_of_lanes(t, agent).get(-2, 0)
        assert (left < rows[-2]) == (place != "place.before:1"), (place, left, rows)
    agent.env = {}
    for w in writers:
        w.write(100)
    agent.start(wait=False)
    time.sleep(t.rng.uniform(0.05, 0.5))        # a random moment
    agent.kill()
    agent.start()
    shipped(t, kafka, agent, topic)
    assert_in_place(kafka, topic, 5)


@scenario()
def a_known_topic_needs_no_answer_to_place_keyed_lines(t):
    """A second start falls into an outage: lines go to the partitions that the topic had, and are spooled for these."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=5)
    writers = [t.writer(f"app{i}") for i in range(7)]
    for w in writers:
        w.write(100)
    agent = keyed_agent(t, kafka, topic).start()
    agent.until_acked(t.ledger.total())
    agent.stop()
    kafka.proxy.refuse()
    agent.start()
    lines_that_vanish(t, agent, writers, 4000)
    agent.kill()
    rows = rows_of_lanes(t, agent)
    assert rows and min(rows) >= 0, rows
    kafka.proxy.forward()
    agent.start()
    shipped(t, kafka, agent, topic)
    assert_in_place(kafka, topic, 5)
