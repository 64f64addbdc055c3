"""books.py - what the agent says about itself: books that balance at every moment, memory within its bound."""
import os

import agent as agent_module
from scenario import Skip, scenario

MiB = 1 << 20


@scenario(core=True)
def a_thousand_snapshots_under_load_balance(t):
    """read = acked + spooled + in_memory + rejected + dropped in each of them, through an outage, a drain and rotations."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=2)
    writers = [t.writer(n) for n in ("a", "b", "c")]
    agent = t.agent(kafka.proxied, topic, producer={"buffer.memory": "2MiB", "max.block.ms": 100, "compression.type": "none"}).start()
    feed = t.feeder(writers, lines_per_s=25000, rotate_every=40000)
    states, last = set(), {"read": 0, "acked": 0}
    for i in range(1000):
        if i == 250:
            kafka.proxy.refuse()
        if i == 600:
            agent.until(lambda s: s["spool"]["rows"] > 0, 30, "rows are in the spool")
            kafka.proxy.forward()
            kafka.proxy.delay(0.05)             # so that they are not gone between two looks
        s = agent.snapshot()
        assert s is not None, f"no answer to snapshot {i}"
        agent_module.check_books(s)
        r = s["records"]
        assert r["read"] >= last["read"] and r["acked"] >= last["acked"], f"counters went back: {last} then {r}"
        last = r
        states.add(s["state"])
        for one in s["inputs"]:
            for f in one["files"]:
                assert 0 <= f["safe"] <= f["read"], f
    agent.until(lambda s: states.add(s["state"]) or "draining" in states, 30, "the rows drain", every=0)
    kafka.proxy.forward()
    feed.stop()
    s = agent.until(lambda s: states.add(s["state"]) or s["records"]["acked"] >= t.ledger.total(), 60, "all lines are acked", every=0)
    assert s["records"]["read"] == s["records"]["acked"] == t.ledger.total(), s["records"]
    assert {"shipping", "draining"} <= states, f"states seen: {states}"
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def the_books_survive_stops_and_kills(t):
    """Counters go on over TERM and kill -9; a line that is read again counts once."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.address, topic)
    for i in range(6):
        agent.start()
        w.write(2000)
        s = agent.until(lambda s: s["records"]["acked"] >= t.ledger.total() - 1000, 60, "most lines are acked")
        if i % 2:
            agent.kill()
        else:
            agent.stop()
    agent.start()
    s = agent.until_acked(t.ledger.total())
    assert s["records"]["read"] == t.ledger.total(), s["records"]
    agent.stop()
    s = agent.json("status")
    agent_module.check_books(s)
    assert s["records"]["acked"] == t.ledger.total(), s["records"]
    t.expect_all(kafka, topic)


@scenario()
def status_has_every_field_that_is_promised(t):
    """Names and types that programs rely on, from the command and from the socket alike."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(100)
    agent = t.agent(kafka.address, topic).start()
    agent.until_acked(100)
    s = agent.json("status")
    shape = {
        "version": str, "pid": int, "uptime_s": (int, float), "state": str, "reasons": list,
        "records": {k: int for k in ("read", "acked", "spooled", "in_memory", "rejected", "dropped", "filtered")},
        "inputs": [{"name": str, "files": [{"path": str, "dev": int, "inode": int, "size": int, "read": int, "safe": int,
                                            "lag_bytes": int, "lag_s": (int, float), "state": str}]}],
        "producer": {"producer_id": int, "producer_epoch": int, "buffer_total": int, "buffer_used": int, "in_flight_batches": int,
                     "brokers": [{"id": int, "host": str, "port": int, "state": str, "error": (str, type(None))}],
                     "partitions": [{"topic": str, "partition": int, "leader": int, "records": int, "bytes": int,
                                     "last_offset": int, "error": (str, type(None))}]},
        "lanes": [{"topic": str, "partition": (int, type(None)), "state": str, "reason": (str, type(None)),
                   "in_memory": int, "spooled": int}],
        "spool": {"rows": int, "records": int, "bytes": int, "oldest_s": (int, float), "max_size": int, "corrupt_rows": int},
        "losses": {"events": int, "records": int, "bytes": int},
        "uncertain": {"batches": int, "records": int},
    }

    def compare(want, got, where):
        if isinstance(want, dict):
            for key, sub in want.items():
                assert isinstance(got, dict) and key in got, f"status has no {where}.{key}"
                compare(sub, got[key], f"{where}.{key}")
        elif isinstance(want, list):
            assert isinstance(got, list) and got, f"{where} is empty"
            for row in got:
                compare(want[0], row, f"{where}[]")
        else:
            assert isinstance(got, want), f"{where} is {got!r}"

    compare(shape, s, "status")
    st = os.stat(w.path)
    row = agent.file(w.path, s)
    assert (row["dev"], row["inode"], row["size"], row["safe"], row["lag_bytes"]) == (st.st_dev, st.st_ino, st.st_size, st.st_size, 0), row
    partition, = s["producer"]["partitions"]
    assert (partition["topic"], partition["partition"], partition["last_offset"], partition["records"]) == (topic, 0, 99, 100), partition
    assert s["pid"] == agent.pid
    row, = agent.json("positions", "ls")
    assert set(row) >= {"path", "dev", "inode", "size", "read", "safe", "lag_bytes", "lag_s", "state"}, row
    assert isinstance(agent.json("spool", "ls"), list)
    agent.stop()


@scenario()
def memory_stays_within_its_bound_through_an_outage(t):
    """The most resident memory ever: buffer.memory + 8 MiB + 1 KiB a file, while 140 MB pass through the spool."""
    if t.sanitized:
        raise Skip("a sanitizer needs memory of its own")
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=3)
    for total, lines in ((32 * MiB, 400000), (1 * MiB, 400000)):
        writers = [t.writer(f"{total >> 20}-{n}") for n in ("a", "b", "c", "d")]
        agent = t.agent(kafka.proxied, topic, paths=[w.path for w in writers], name=f"agent-{total >> 20}",
                        producer={"buffer.memory": str(total), "max.block.ms": 200})
        already = t.ledger.total()
        agent.start()
        kafka.proxy.refuse()
        for w in writers:
            w.write(lines // len(writers), block=20000)
        agent.until(lambda s: s["records"]["read"] == lines and s["spool"]["rows"] > 0, 90, "all lines are read and spooled")
        kafka.proxy.forward()
        agent.until_acked(t.ledger.total() - already)
        most, bound = agent.memory("VmHWM"), total + 8 * MiB + len(writers) * 1024
        agent.stop()
        assert most <= bound, f"{most / MiB:.1f} MiB resident at most, with buffer.memory {total >> 20} MiB: {(most - bound) / MiB:.1f} too much"
    t.expect_all(kafka, topic)


@scenario(core=True)
def a_buffer_of_1_mib_works(t):
    """`buffer.memory: 1MiB` alone: eight partitions, four files, lines up to 60 KB."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=8)
    for name in ("a", "b", "c"):
        t.writer(name).write(20000)
    t.writer("long", length=60000).write(100)
    agent = t.agent(kafka.address, topic, producer={"buffer.memory": "1MiB"})
    agent.once()
    t.expect_all(kafka, topic)


@scenario()
def spool_ls_and_positions_ls_tell_what_an_outage_left(t):
    """Rows, records and lanes of the spool, and a safe offset a file, from the running agent and from the directory alike."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, shutdown_timeout="2s",
                    producer={"buffer.memory": "1MiB", "max.block.ms": 100, "compression.type": "none"})
    kafka.proxy.refuse()
    w.write(30000)
    agent.start()
    agent.until(lambda s: s["records"]["spooled"] > 0 and (agent.file(w.path, s) or {}).get("lag_bytes") == 0, 60, "all is spooled")
    listed = agent.json("spool", "ls")
    assert listed and any(topic in str(row) for row in listed), listed
    agent.stop()
    s = agent.json("status")
    agent_module.check_books(s)
    assert s["records"]["spooled"] == 30000, s["records"]
    assert agent.json("spool", "ls"), "no rows listed from the directory"
    row, = agent.json("positions", "ls")
    assert row["safe"] == os.path.getsize(w.path), row
    kafka.proxy.forward()
    agent.once()
    t.expect_all(kafka, topic)


@scenario()
def an_idle_agent_costs_next_to_nothing(t):
    """Ten idle seconds with 300 files: less than 2 % of a core."""
    if t.sanitized:
        raise Skip("a sanitizer has costs of its own")
    import time
    kafka = t.kafka()
    topic = t.topic(kafka)
    for i in range(300):
        t.file(f"i{i}.log", b"one line\n")
    agent = t.agent(kafka.address, topic).start()
    agent.until_acked(300)

    def cpu():
        with open(f"/proc/{agent.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = cpu()
    time.sleep(10)                              # the measure is: ten seconds
    used = cpu() - before
    agent.stop()
    assert used < 0.2, f"{used:.2f} s of CPU in ten idle seconds"
