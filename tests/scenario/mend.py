"""mend.py - rows of the spool that are damaged: built again from their files where these still hold the lines."""
import os
import sqlite3

import agent as agent_module
import oracle
from scenario import scenario

LINE = oracle.DEFAULT_LEN + 1           # with its LF
SMALL = {"buffer.memory": "1MiB", "max.block.ms": 100, "batch.size": "16KiB", "linger.ms": 5, "request.timeout.ms": 1500}


def damage(agent, which=lambda one: True):
    """Turns a bit in the bytes of some rows around. Returns (rows, damaged)."""
    db = sqlite3.connect(os.path.join(agent.state_dir, "spool.db"))
    ids = [row[0] for row in db.execute("SELECT id FROM data ORDER BY id")]
    chosen = [one for one in ids if which(one)]
    for one in chosen:
        data = bytearray(db.execute("SELECT bytes FROM data WHERE id = ?", (one,)).fetchone()[0])
        data[len(data) // 2] ^= 0x40
        db.execute("UPDATE data SET bytes = ? WHERE id = ?", (bytes(data), one))
    db.commit()
    db.close()
    return len(ids), len(chosen)


def spooled_and_stopped(t, deleted=False, **producer):
    """Rows, some of them of batches that were sent and not answered; the agent is stopped. deleted: and the file is."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, producer={**SMALL, **producer}, shutdown_timeout="1s").start()
    w.write(500)
    agent.until_acked(500)
    kafka.proxy.hold_acks()
    w.write(500)
    agent.until(lambda s: s["producer"]["in_flight_batches"] >= 1, 20, "a batch is in flight")
    w.write(30000)
    agent.until(lambda s: s["records"]["spooled"] > 25000 and s["records"]["read"] == t.ledger.total(), 60, "lines are spooled")
    if deleted:
        os.unlink(w.path)
        # "done" when all of it is spooled, and soon after that no row at all.
        agent.until(lambda s: (agent.file(w.path, s) or {"state": "done"})["state"] in ("deleted", "done"), 20, "the deletion is seen")
    agent.stop()
    kafka.proxy.cut()
    kafka.proxy.forward()
    return kafka, topic, w, agent


@scenario(core=True)
def damaged_rows_are_built_again_from_their_files(t):
    """A byte of every row is wrong, those of unanswered batches too: all lines arrive once and in order, nothing is counted as lost."""
    kafka, topic, w, agent = spooled_and_stopped(t)
    rows, damaged = damage(agent)
    assert damaged == rows > 10, (rows, damaged)
    assert any(row["in_flight"] for row in agent.json("spool", "ls")), "no row of an unanswered batch"
    agent.start()
    s = agent.until_acked(t.ledger.total())
    assert s["records"]["dropped"] == s["spool"]["corrupt_rows"] == s["losses"]["records"] == 0, s
    agent.stop()
    assert agent.log_text().count("was built again from its files") == rows, "rows that were mended"
    t.expect_all(kafka, topic)


@scenario()
def a_damaged_row_whose_file_changed_is_set_aside_and_blocks_nothing(t):
    """The log file was deleted: a third of the rows are damaged for good, exactly their lines are missing and in the losses."""
    kafka, topic, w, agent = spooled_and_stopped(t, deleted=True, **{"compression.type": "none"})
    in_flight = {row["row"] for row in agent.json("spool", "ls") if row["in_flight"]}        # Kafka has these, maybe
    _, damaged = damage(agent, lambda one: one % 3 == 1 and one not in in_flight)
    agent.start()
    s = agent.until(lambda s: s["records"]["acked"] + s["records"]["dropped"] == t.ledger.total(), 60, "all others are acked")
    agent_module.check_books(s)
    agent.stop()
    s = agent.json("status")
    assert s["spool"]["corrupt_rows"] == damaged and s["spool"]["rows"] == 0, s["spool"]
    lost = set()
    for row in agent.json("losses"):
        assert row["reason"] == "damaged" and row["path"] == w.path, row
        lost |= set(range(row["start"] // LINE, row["end"] // LINE))
    seen = {int(value.split(b" ", 3)[2]) for value in oracle.values(oracle.consume(kafka.address, topic))}
    assert lost == set(range(w.seq)) - seen, "the losses are not what is missing"
    assert len(lost) == s["losses"]["records"] == s["records"]["dropped"], (len(lost), s["losses"])
    v = t.verdict(kafka, topic)
    assert not (v.doubled or v.reordered or v.corrupt or v.unknown), str(v)
