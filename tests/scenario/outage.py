"""outage.py - the broker goes away: memory runs dry, batches spill, the broker comes back, everything drains."""
import os
import sqlite3
import time

import nocodec
import oracle
import procs
from kafka import Cluster
from procs import until
from scenario import Skip, scenario

MiB = 1 << 20
LINE = oracle.DEFAULT_LEN + 1


def warm(t, agent, writer, lines=500):
    """Starts, ships a little, so that metadata and a producer id are there and the first batch was acknowledged."""
    writer.write(lines)
    agent.start()
    agent.until_acked(t.ledger.total())


def waiting(status):
    """Whether a file waits: with an empty spool it can only be for memory."""
    return any(f["state"] == "waiting" for one in status["inputs"] for f in one["files"])


def dry_then_spooled(agent, timeout=60):
    return agent.until(lambda s: s["spool"]["rows"] > 0, timeout, "rows are in the spool")


def drained(t, agent, timeout=120):
    s = agent.until_acked(t.ledger.total(), timeout)
    assert s["spool"]["rows"] == 0 and s["spool"]["bytes"] == 0, s["spool"]
    assert s["state"] == "shipping", s["state"]
    assert s["losses"]["records"] == 0 and s["uncertain"]["records"] == 0, (s["losses"], s["uncertain"])
    return s


def outage_and_return(t, kafka, address, away, back, codec="lz4"):
    """The common story: spill, rotate, delete the rotated files, drain; judged at the end."""
    topic = t.topic(kafka, partitions=2)
    w, other = t.writer("app"), t.writer("other")
    other.write(100)
    agent = t.agent(address, topic, producer={"buffer.memory": "2MiB", "max.block.ms": 500, "compression.type": codec,
                                              "request.timeout.ms": 5000})
    warm(t, agent, w)
    away()
    for _ in range(3):
        w.write(20000)
        w.rotate()
    other.write(10000)
    agent.until(lambda s: s["records"]["read"] == t.ledger.total(), 60, "all lines are read")
    agent.until(lambda s: s["spool"]["rows"] > 0 and s["state"] == "spilling", 60, "rows are in the spool and nobody takes them")
    w.delete_rotated()
    w.write(1000)
    back()
    drained(t, agent)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario(core=True)
def lines_outlive_a_refused_broker_and_deleted_files(t):
    """Connections refused, three rotations, rotated files deleted, broker back: everything arrives in order."""
    kafka = t.kafka()
    outage_and_return(t, kafka, kafka.proxied, kafka.proxy.refuse, kafka.proxy.forward)


@scenario()
def lines_outlive_a_black_hole(t):
    """Connections that take bytes and never answer: the same story, and the held requests double nothing."""
    kafka = t.kafka()
    outage_and_return(t, kafka, kafka.proxied, kafka.proxy.black_hole, kafka.proxy.forward)


@scenario()
def lines_outlive_a_stopped_broker(t):
    """The broker is stopped in order and started again."""
    kafka = t.own_kafka()
    outage_and_return(t, kafka, kafka.address, kafka.stop, kafka.start, codec="none")


@scenario()
def lines_outlive_a_frozen_broker(t):
    """SIGSTOP: the kernel still takes connections and bytes, nobody answers."""
    kafka = t.own_kafka()
    outage_and_return(t, kafka, kafka.address, kafka.freeze, kafka.thaw, codec="zstd")


@scenario()
def an_agent_that_starts_in_an_outage_spools_and_delivers_later(t):
    """No broker has ever been seen: key-less lines are read, spooled, and sent when it comes."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    kafka.proxy.refuse()
    t.writer("app").write(40000)
    agent = t.agent(kafka.proxied, topic, producer={"buffer.memory": "2MiB", "max.block.ms": 500, "compression.type": "none"}).start()
    dry_then_spooled(agent)
    kafka.proxy.forward()
    drained(t, agent)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario(core=True)
def dry_memory_spills_after_max_block_ms_and_not_before(t):
    """With max.block.ms 3s no row exists 2.5 s after memory ran dry, and one exists within ten."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, producer={"buffer.memory": "2MiB", "max.block.ms": "3s", "compression.type": "none"})
    warm(t, agent, w)
    kafka.proxy.refuse()
    begin = time.monotonic()                    # memory is not dry before this
    w.write(30000, block=30000)
    dry = None
    while True:
        asked = time.monotonic()
        s = agent.status()
        answered = time.monotonic()
        if dry is None and waiting(s):
            dry = answered                      # it was dry by now
        if s["spool"]["rows"]:
            break
        assert dry is None or asked < dry + 10 * procs.SLOWNESS, f"no row {asked - dry:.1f} s after memory ran dry"
        assert asked < begin + 60 * procs.SLOWNESS, "memory never ran dry"
        time.sleep(0.02)
    assert answered > begin + 2.5, f"a row {answered - begin:.2f} s after the first line"
    kafka.proxy.forward()
    drained(t, agent)
    agent.stop()
    t.expect_all(kafka, topic)


BLOCK_S = 4


def ack_in_between(kafka, agent, w):
    """No row before one is due, although the wait that the ack cut off would be over. Whether the machine was quick enough to
    tell: an ack that is late, or a look that takes too long, says nothing."""
    acked = agent.status()["records"]["acked"]
    kafka.proxy.hold_acks()
    begin = time.monotonic()                    # memory is not dry before this
    w.write(30000, block=30000)
    agent.until(waiting, 30, "memory is dry", every=0.01)
    over = time.monotonic() + BLOCK_S + 0.5     # of a wait that goes on
    until(lambda: time.monotonic() > begin + 0.6 * BLOCK_S, what="most of the wait is over")
    let = time.monotonic()
    kafka.proxy.let_acks(1)
    agent.until(lambda s: s["records"]["acked"] > acked, 30, "one ack arrives")
    if time.monotonic() > begin + BLOCK_S:
        return False
    told, asked = False, let
    while asked < let + BLOCK_S:
        s = agent.status()
        if time.monotonic() < let + BLOCK_S:
            assert s["spool"]["rows"] == 0, f"a row {time.monotonic() - let:.2f} s after the ack, {s['spool']}"
            told = asked > over
        time.sleep(0.05)
        asked = time.monotonic()
    return told


@scenario()
def an_ack_in_between_begins_the_wait_anew(t):
    """Memory is dry and an ack comes when most of max.block.ms is over: when all of it is there is still no row."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    # Small batches: what is on a socket is never spilled, so there has to be more than that.
    agent = t.agent(kafka.proxied, topic, producer={"buffer.memory": "2MiB", "max.block.ms": f"{BLOCK_S}s", "compression.type": "none",
                                                    "batch.size": "32KiB"})
    warm(t, agent, w)
    for _ in range(5):
        told = ack_in_between(kafka, agent, w)
        kafka.proxy.forward()
        drained(t, agent)
        if told:
            break
    else:
        raise procs.Timeout("the machine slept over each of five looks")
    agent.stop()
    t.expect_all(kafka, topic)


def spooled_sections(state_dir):
    """The stored record sections. The one place among the scenarios that knows the database's inside (spool/schema.c)."""
    db = sqlite3.connect(f"file:{os.path.join(state_dir, 'spool.db')}?mode=ro", uri=True)
    try:
        return [row[0] for row in db.execute("SELECT bytes FROM data ORDER BY id")]
    finally:
        db.close()


@scenario()
def the_spooled_bytes_are_the_bytes_that_the_broker_stores(t):
    """Each spooled record section is found unchanged in the broker's log, and while draining no codec function is called."""
    kafka = t.kafka()
    for codec in ("none", "lz4", "zstd"):
        topic = t.topic(kafka)
        w = t.writer(f"app-{codec}")
        agent = t.agent(kafka.proxied, topic, paths=[w.path], name=codec, shutdown_timeout="2s",
                        producer={"buffer.memory": "2MiB", "max.block.ms": 300, "compression.type": codec})
        already = t.ledger.total()
        w.write(500)
        agent.start()
        agent.until_acked(500)
        kafka.proxy.refuse()
        w.write(40000)
        agent.until(lambda s: s["records"]["read"] == 40500 and s["records"]["in_memory"] == 0, 60, "all lines are in the spool")
        agent.stop()
        sections = spooled_sections(agent.state_dir)
        assert len(sections) > 3, f"only {len(sections)} rows"
        kafka.proxy.forward()
        if not t.sanitized:
            agent.env = nocodec.environment(t.dir)
        agent.start()
        agent.until_acked(t.ledger.total() - already)
        agent.stop()
        stored = {b["records"] for b in kafka.batches(topic)}
        changed = [i for i, section in enumerate(sections) if section not in stored]
        assert not changed, f"{codec}: rows {changed} of {len(sections)} are not in the log as they were stored"
        v = oracle.judge(t.run_id, {w.id: w.seq}, oracle.triples(oracle.consume(kafka.address, topic)))
        assert v.good, str(v)


@scenario(core=True)
def a_full_spool_blocks_and_then_drains(t):
    """max_size is reached, tailers wait and say so; the broker returns and every line arrives, twice in a row."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, spool={"max_size": "4MiB"},
                    producer={"buffer.memory": "2MiB", "max.block.ms": 300, "compression.type": "none"})
    warm(t, agent, w)
    for _ in range(2):
        kafka.proxy.refuse()
        w.write(60000)
        s = agent.until(lambda s: s["state"] == "blocked", 60, "the spool is full")
        assert s["reasons"], "blocked, and no reason is given"
        assert s["spool"]["bytes"] <= 4 * MiB, s["spool"]
        assert s["records"]["read"] < t.ledger.total(), "more was read than memory and spool can hold"
        kafka.proxy.forward()
        drained(t, agent)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def kill_9_with_a_full_spool_loses_nothing(t):
    """Blocked, killed, started again while still blocked, killed again, then the broker returns."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, spool={"max_size": "3MiB"},
                    producer={"buffer.memory": "1MiB", "max.block.ms": 200, "compression.type": "none"})
    warm(t, agent, w)
    kafka.proxy.refuse()
    w.write(50000)
    for _ in range(3):
        agent.until(lambda s: s["state"] == "blocked", 60, "the spool is full")
        agent.kill()
        agent.start()
    kafka.proxy.forward()
    drained(t, agent)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario(needs_root=True)
def a_full_file_system_drains_when_the_broker_returns(t):
    """The state directory's tmpfs has no byte left; the agent stays alive, waits, and loses nothing, over a restart too."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    small = t.tmpfs("small", "72m")
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, state_dir=os.path.join(small, "state"), spool={"min_free": 0, "max_size": "10GiB"},
                    producer={"buffer.memory": "4MiB", "max.block.ms": 300, "compression.type": "none"})
    warm(t, agent, w)
    kafka.proxy.refuse()
    w.write(600000, block=20000)                # 107 MB
    s = agent.until(lambda s: s["state"] == "blocked", 90, "the file system is full")
    assert s["reasons"], "blocked, and no reason is given"
    # somebody else takes the rest of the file system
    with open(os.path.join(small, "ballast"), "wb") as f:
        try:
            while True:
                f.write(b"\0" * 65536)
                f.flush()
        except OSError:
            pass
    agent.kill()
    agent.start()
    kafka.proxy.forward()
    drained(t, agent, 180)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def min_free_is_respected(t):
    """A file system with less than min_free left gets no rows: the tailers wait instead, and the lines arrive later."""
    kafka = t.kafka()
    if os.statvfs(t.dir).f_bavail * os.statvfs(t.dir).f_frsize > 1 << 50:
        raise Skip("a petabyte is free here")
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, spool={"min_free": str(1 << 50)},
                    producer={"buffer.memory": "1MiB", "max.block.ms": 200, "compression.type": "none"})
    warm(t, agent, w)
    kafka.proxy.refuse()
    w.write(30000)
    s = agent.until(lambda s: s["state"] == "blocked", 20, "the agent waits for space")
    assert s["spool"]["rows"] == 0, s["spool"]
    kafka.proxy.forward()
    drained(t, agent)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_short_cut_needs_no_spool(t):
    """Connections reset every 50 ms for two seconds while lines flow: retried, nothing doubled, nothing spooled."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=2)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic)
    warm(t, agent, w)
    feed = t.feeder([w], lines_per_s=20000)
    for _ in range(40):
        kafka.proxy.cut()
        time.sleep(0.05)                        # the rhythm of the fault, not a wait
    feed.stop()
    s = drained(t, agent)
    assert s["spool"]["corrupt_rows"] == 0
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_connection_that_breaks_inside_a_request_doubles_nothing(t):
    """Cut after a random number of bytes towards the broker, thirty times."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, producer={"reconnect.backoff.ms": 10, "retry.backoff.ms": 10})
    warm(t, agent, w)
    feed = t.feeder([w], lines_per_s=30000)
    for _ in range(30):
        kafka.proxy.cut_after(t.rng.randrange(1, 100000))
        until(lambda: kafka.proxy.budget is None, 30, "the connection was cut", every=0.005)
    feed.stop()
    drained(t, agent)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario(core=True)
def lost_acks_double_nothing(t):
    """The broker writes, its answer is lost with the connection, thirty times: sent again, recognised, acknowledged once."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=2)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, producer={"reconnect.backoff.ms": 10, "retry.backoff.ms": 10})
    warm(t, agent, w)
    feed = t.feeder([w], lines_per_s=20000)
    for _ in range(30):
        lost = kafka.proxy.acks_lost
        kafka.proxy.lose_acks(1)
        until(lambda: kafka.proxy.acks_lost > lost, 30, "an ack was lost", every=0.005)
    feed.stop()
    drained(t, agent)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def swallowed_answers_double_nothing(t):
    """Answers vanish on a connection that stays: after request.timeout.ms the batches are sent again under their identity."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, producer={"request.timeout.ms": 2000, "batch.size": "32KiB"})
    warm(t, agent, w)
    kafka.proxy.swallow()
    before = kafka.proxy.acks_lost
    w.write(5000)
    until(lambda: kafka.proxy.acks_lost > before, 30, "an answer was swallowed")
    until(lambda: kafka.proxy.acks_lost > before + 1, 30, "it was sent again, and that answer swallowed too")
    kafka.proxy.forward()
    drained(t, agent)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def new_lines_queue_behind_spooled_ones(t):
    """Lines keep coming while the spool drains through a narrow link: order holds per file and partition."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w, v = t.writer("app"), t.writer("other")
    agent = t.agent(kafka.proxied, topic, producer={"buffer.memory": "2MiB", "max.block.ms": 300})
    warm(t, agent, w)
    kafka.proxy.refuse()
    w.write(60000)
    dry_then_spooled(agent)
    kafka.proxy.forward()
    kafka.proxy.rate(3 * MiB)
    feed = t.feeder([w, v], lines_per_s=5000, total=20000)
    until(feed.done, 60, "the feeder is done")
    feed.stop()
    kafka.proxy.forward()
    drained(t, agent)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def outages_in_a_row_balance_in_the_end(t):
    """Six outages of random kind and length under traffic."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=3)
    writers = [t.writer(n) for n in ("a", "b", "c")]
    agent = t.agent(kafka.proxied, topic, producer={"buffer.memory": "1MiB", "max.block.ms": 100, "request.timeout.ms": 2000})
    agent.start()
    feed = t.feeder(writers, lines_per_s=15000, rotate_every=30000)
    for _ in range(6):
        t.rng.choice([kafka.proxy.refuse, kafka.proxy.black_hole, kafka.proxy.swallow, kafka.proxy.hold_acks])()
        time.sleep(t.rng.uniform(0.1, 1.5))
        kafka.proxy.forward()
        time.sleep(t.rng.uniform(0.1, 0.8))
    feed.stop()
    drained(t, agent)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_partition_without_answers_does_not_keep_the_position_of_its_file_back(t):
    """Lines dealt out over three partitions, the leader of one is frozen: what it keeps back is spooled, so the position moves."""
    cluster = Cluster(t.path("cluster"))
    t.closing.append(cluster.close)
    cluster.start()
    cluster.nodes[0].create_topic("dealt", 3, replication=1, min_insync_replicas=1)
    w = t.writer("app")
    agent = t.agent(cluster.address, "dealt", producer={"partitioner.class": "round_robin", "batch.size": "16KiB", "linger.ms": 5,
                    "request.timeout.ms": 1500, "buffer.memory": "64MiB", "max.block.ms": 60000, "max.in.flight.requests.per.connection": 1}).start()
    w.write(300)
    agent.until_acked(300)
    node = cluster.node(cluster.leaders("dealt")[1])
    node.freeze()
    try:
        w.write(30000)
        s = agent.until(lambda s: s["records"]["acked"] > 20000 and s["spool"]["rows"], 60, "rows in the spool, though memory is free")
        agent.until(lambda s: agent.file(w.path, s)["safe"] > agent.file(w.path, s)["size"] * 0.5, 60, "the position has moved")
    finally:
        node.thaw()
    agent.until_acked(30300)
    agent.stop()
    v = oracle.judge(t.run_id, oracle.Ledger.load(t.ledger.path), oracle.triples(oracle.consume(cluster.address, "dealt")))
    assert v.good, str(v)
