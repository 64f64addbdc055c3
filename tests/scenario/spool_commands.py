"""spool_commands.py - what waits on disk is listed, exported, verified and given up; positions are set; directories are moved.

Each with the running agent and without one. Lines have the same length, so offsets are line numbers.
"""
import json
import os
import shutil
import sqlite3
import subprocess

import agent as agent_module
import oracle
import procs
from scenario import scenario

LINE = oracle.DEFAULT_LEN + 1           # with its LF
SMALL = {"buffer.memory": "1MiB", "max.block.ms": 100, "batch.size": "16KiB", "linger.ms": 5, "request.timeout.ms": 1500}


def said(agent, *argv, answer=b"", expect=0, timeout=60):
    """(stdout, stderr) of a command that ends with `expect`."""
    p = subprocess.run([agent.binary, *argv, "-c", agent.config], input=answer, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=timeout * procs.SLOWNESS)
    out, err = p.stdout.decode(), p.stderr.decode()
    assert p.returncode == expect, f"{' '.join(argv)} ended with {p.returncode}, expected {expect}: {out[-500:]} {err}"
    return out, err


def exported(agent, expect=0):
    return [json.loads(row) for row in said(agent, "spool", "export", expect=expect)[0].splitlines()]


def spooled(t, lines=20000, codec="lz4", **top):
    """An agent in an outage with all of its lines in the spool, but what memory holds."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, producer={**SMALL, "compression.type": codec}, shutdown_timeout="1s", **top).start()
    w.write(500)
    agent.until_acked(500)
    kafka.proxy.refuse()
    w.write(lines)
    agent.until(lambda s: s["records"]["read"] == t.ledger.total() and s["records"]["in_memory"] == 0, 60, "all lines are spooled")
    return kafka, topic, w, agent


def delivered(t, kafka, topic, agent, missing=()):
    """The broker is back: everything arrives once, but for these lines."""
    kafka.proxy.forward()
    if not agent.running():
        agent.start()
    s = agent.until(lambda s: s["records"]["acked"] + s["records"]["dropped"] == t.ledger.total(), 60, "the rest is acked")
    agent_module.check_books(s)
    agent.stop()
    v = t.verdict(kafka, topic)
    assert not (v.doubled or v.reordered or v.corrupt or v.unknown), str(v)
    seen = {int(value.split(b" ", 3)[2]) for value in oracle.values(oracle.consume(kafka.address, topic))}
    assert set(range(t.ledger.total())) - seen == set(missing), "other lines are missing than were given up"


def lost_lines(agent, reason):
    lines = set()
    for row in agent.json("losses"):
        assert set(row) == {"time", "reason", "path", "start", "end", "records", "bytes", "topic", "partition"}, row
        assert row["reason"] == reason and row["bytes"] == row["end"] - row["start"], row
        assert row["start"] % LINE == 0 and row["end"] % LINE == 0, row
        there = set(range(row["start"] // LINE, row["end"] // LINE))
        assert len(there) == row["records"] and not there & lines, row
        lines |= there
    return lines


@scenario(core=True)
def spool_export_writes_exactly_the_lines_that_were_spooled(t):
    """In an outage, with each codec: every record once, in order, whole, with its time; from the agent and from the directory alike."""
    kafka, topic, w, agent = spooled(t, codec="none")
    for codec in ("none", "lz4", "zstd"):
        if codec != "none":
            agent.settings["producer"]["compression.type"] = codec
            agent.write_config()
            agent.start()
            w.write(3000)
            agent.until(lambda s: s["records"]["read"] == t.ledger.total() and not s["records"]["in_memory"], 60, "all is spooled")
        records = exported(agent)
        want = w.lines.block(w.id, 500, w.seq - 500).decode().splitlines()
        assert [r["value"] for r in records] == want, f"{codec}: {len(records)} records, {len(want)} lines"
        assert all(set(r) == {"topic", "partition", "key", "value", "headers", "timestamp", "row"} for r in records)
        assert {(r["topic"], r["key"], len(r["headers"])) for r in records} == {(topic, None, 0)}
        assert all(1600000000000 < r["timestamp"] < 4000000000000 for r in records)
        rows = agent.json("spool", "ls")
        assert {row["row"] for row in rows} == {r["row"] for r in records} and sum(row["records"] for row in rows) == len(records)
        assert {row["codec"] for row in rows} >= {codec}, codec
        agent.stop()
        assert exported(agent) == records and [r["row"] for r in agent.json("spool", "ls")] == [r["row"] for r in rows]
    delivered(t, kafka, topic, agent)
    assert agent.json("spool", "ls") == [] and exported(agent) == []


@scenario()
def a_damaged_row_is_said_and_all_others_are_exported(t):
    """Flipped bytes in two rows: export and verify end with 65, name them, and the records of all other rows are there."""
    kafka, topic, w, agent = spooled(t)
    agent.stop()
    said(agent, "spool", "verify")
    before = exported(agent)
    db = sqlite3.connect(os.path.join(agent.state_dir, "spool.db"))
    bad = [row[0] for row in db.execute("SELECT id FROM data ORDER BY id")][1:4:2]
    for one in bad:
        data = bytearray(db.execute("SELECT bytes FROM data WHERE id = ?", (one,)).fetchone()[0])
        data[len(data) // 2] ^= 0x40
        db.execute("UPDATE data SET bytes = ? WHERE id = ?", (bytes(data), one))
    db.commit()
    db.close()

    def look():
        out, err = said(agent, "spool", "export", expect=65)
        assert [json.loads(row) for row in out.splitlines()] == [r for r in before if r["row"] not in bad]
        assert all(f"row {one} of {topic}" in err for one in bad), err
        out, err = said(agent, "spool", "verify", "--json", expect=65)
        assert [row["row"] for row in json.loads(out)] == bad and "2 findings" in err, (out, err)
        out, _ = said(agent, "spool", "verify", expect=65)
        assert all(f"row {one}" in out for one in bad), out

    look()
    agent.settings["inputs"][0]["paths"] = [t.path("logs", "none")]     # so that nothing is sent or mended before it is looked at
    agent.write_config()
    agent.start()
    rows = agent.json("spool", "ls")
    assert {row["row"] for row in rows} >= set(bad), "the agent set them aside before anybody looked"
    look()
    agent.stop()


@scenario()
def verify_of_a_running_agent_finds_it_sound_and_delays_nothing(t):
    """While rows come and go: 0, and the agent goes on to answer; without an agent everything is compared with everything."""
    kafka, topic, w, agent = spooled(t, lines=40000, codec="none")
    assert "sound: every row" in said(agent, "spool", "verify")[0]
    assert json.loads(said(agent, "spool", "verify", "--json")[0]) == []
    kafka.proxy.forward()
    while agent.status()["spool"]["rows"]:
        said(agent, "spool", "verify")
    agent.stop()
    assert "SQLite" in said(agent, "spool", "verify")[0]
    assert json.loads(said(agent, "spool", "verify", "--json")[0]) == []
    delivered(t, kafka, topic, agent)


@scenario(core=True)
def purged_rows_are_lost_with_each_line_named_and_the_rest_arrives(t):
    """While the agent runs and when it does not: asked first, books balance, the losses are what Kafka misses, later lines flow."""
    kafka, topic, w, agent = spooled(t)
    assert "nothing was deleted" in said(agent, "spool", "purge", answer=b"n\n")[0]
    assert agent.status()["records"]["dropped"] == 0
    out, _ = said(agent, "spool", "purge", answer=b"y\n")
    s = agent.status()
    assert s["records"]["dropped"] > 15000, (out, s["records"])
    assert s["losses"]["records"] == s["records"]["dropped"] == len(lost_lines(agent, "purged")), s
    w.write(5000)
    agent.until(lambda s: s["records"]["read"] == t.ledger.total() and s["records"]["in_memory"] == 0, 60, "all lines are spooled")
    agent.stop()
    assert "give up" in said(agent, "spool", "purge", answer=b"y\n")[0]
    s = agent.json("status")
    agent_module.check_books(s)
    lost = lost_lines(agent, "purged")
    assert len(lost) == s["records"]["dropped"] and max(lost) == t.ledger.total() - 1, (len(lost), s["records"])
    assert all(row["in_flight"] for row in agent.json("spool", "ls")), "rows without identity are left"
    agent.start()
    w.write(700)
    delivered(t, kafka, topic, agent, missing=lost)
    assert "purged" in said(agent, "losses")[0]


@scenario(core=True)
def a_purge_while_rows_drain_loses_only_what_it_names(t):
    """Rows are given up again and again while others are handed over and sent: what is on its way stays and arrives."""
    kafka, topic, w, agent = spooled(t, lines=60000, codec="none")
    kafka.proxy.forward()
    agent.until(lambda s: s["records"]["acked"] > 1500, 60, "rows drain")
    out, _ = said(agent, "spool", "purge", answer=b"y\n")
    w.write(500)
    s = agent.until(lambda s: s["records"]["acked"] + s["records"]["dropped"] == t.ledger.total(), 60, "the rest is acked")
    assert s["spool"]["rows"] == 0, (out, s["spool"])
    delivered(t, kafka, topic, agent, missing=lost_lines(agent, "purged"))


@scenario()
def rejected_records_are_purged_in_slices(t):
    """Ten thousand of them, asked of the running agent and of the directory: all are gone and stay counted."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    t.file("a.log", b"".join(b"%d\n" % i if i % 2 else b"x%d\n" % i for i in range(20000)))
    agent = t.agent(kafka.address, topic, producer={"value.serializer": "org.apache.kafka.common.serialization.LongSerializer"}).start()
    agent.until(lambda s: s["records"]["acked"] == 10000 == s["records"]["rejected"], 60, "half is acked, half rejected")
    with agent.asleep():        # a checkpoint between the copying of two files would tear them apart
        copy = shutil.copytree(agent.state_dir, t.path("copy.state"), ignore=shutil.ignore_patterns("*.sock"))
    assert "10000 rejected records were deleted" in said(agent, "spool", "purge", "--rejected", answer=b"y\n")[0]
    assert agent.json("spool", "ls", "--rejected") == [] and agent.status()["records"]["rejected"] == 10000
    agent.stop()
    shutil.rmtree(agent.state_dir)
    os.rename(copy, agent.state_dir)
    assert "10000 rejected records were deleted" in said(agent, "spool", "purge", "--rejected", answer=b"y\n")[0]
    s = agent.json("status")
    agent_module.check_books(s)
    assert s["records"]["rejected"] == 10000 and agent.json("spool", "ls", "--rejected") == []


# --- positions


def shipped(t, lines=5000):
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.address, topic).start()
    w.write(lines)
    agent.until_acked(lines)
    return kafka, topic, w, agent


def counts(kafka, topic):
    """How often each line is in Kafka."""
    seen = {}
    for value in oracle.values(oracle.consume(kafka.address, topic)):
        n = int(value.split(b" ", 3)[2])
        seen[n] = seen.get(n, 0) + 1
    return seen


@scenario()
def a_position_set_forward_skips_lines_and_names_them(t):
    """Without an agent: into the middle of a line is the next line; the lines between are in the losses, all others arrive."""
    kafka, topic, w, agent = shipped(t)
    agent.stop()
    w.write(5000)
    out, _ = said(agent, "positions", "set", w.path, str(7000 * LINE - 5))
    assert f"goes on at offset {7000 * LINE}, the next beginning of a line; {2000 * LINE} bytes are skipped" in out, out
    s = agent.json("status")
    agent_module.check_books(s)
    assert (s["records"]["dropped"], s["losses"]["records"]) == (2000, 2000), s
    assert lost_lines(agent, "skipped") == set(range(5000, 7000))
    row, = agent.json("positions", "ls")
    assert row["safe"] == 7000 * LINE, row
    delivered(t, kafka, topic, agent, missing=range(5000, 7000))


@scenario()
def a_position_set_back_sends_lines_again(t):
    """From the running agent and from the directory: exactly the lines behind the new position come twice."""
    kafka, topic, w, agent = shipped(t)
    out, _ = said(agent, "positions", "set", w.path, str(4000 * LINE))
    assert f"goes on at offset {4000 * LINE}" in out and f"{1000 * LINE} bytes are read again" in out, out
    agent.until_acked(6000)
    agent.stop()
    out, _ = said(agent, "positions", "set", w.path, str(4500 * LINE))
    assert f"{500 * LINE} bytes are read again" in out, out
    agent.start()
    agent.until_acked(6500)
    agent.stop()
    agent_module.check_books(agent.json("status"))
    seen = counts(kafka, topic)
    assert seen == {n: 1 if n < 4000 else 2 if n < 4500 else 3 for n in range(5000)}


@scenario()
def the_position_of_a_running_agent_may_be_set_to_the_end(t):
    """In an outage with everything in memory and spool: `end` skips what is not read, the answer is committed, books balance."""
    kafka, topic, w, agent = spooled(t, lines=5000, spool={"max_size": "1MiB", "min_free": 0})
    w.write(40000)
    agent.until(lambda s: s["state"] == "blocked", 60, "the spool is full")
    out, _ = said(agent, "positions", "set", w.path, "end")
    assert f"goes on at offset {t.ledger.total() * LINE}" in out, out
    lost = lost_lines(agent, "skipped")
    s = agent.until(lambda s: s["records"]["dropped"] == len(lost), 20, "the skipped lines are counted")
    assert lost and max(lost) == t.ledger.total() - 1 and s["losses"]["records"] == len(lost), s["losses"]
    w.write(300)
    delivered(t, kafka, topic, agent, missing=lost)


@scenario()
def positions_that_cannot_be_set_are_said(t):
    """An unknown file, a wrong offset, a file in flight or spooled, one that is gone: words and an exit code, nothing changes."""
    kafka, topic, w, agent = spooled(t, lines=3000)
    unknown = t.path("logs", "nobody.txt")
    for running in (True, False):
        for argv, code, words in ((("set", unknown, "0"), 65, "positions ls"), (("set", w.path, ""), 64, "number of bytes"),
                                  (("set", w.path, "1x"), 64, "number of bytes"), (("set", w.path), 64, "set PATH OFFSET"),
                                  (("forget", unknown), 65, "positions ls"), (("forget", w.path), 75, "an input matches it")):
            _, err = said(agent, "positions", *argv, expect=code)
            assert words in err, (running, argv, err)
        if running:
            agent.stop()
    _, err = said(agent, "positions", "set", w.path, "0", expect=75)
    assert "in flight or in the spool" in err, err
    assert agent.json("losses") == []
    delivered(t, kafka, topic, agent)


@scenario()
def a_file_that_is_gone_can_be_forgotten(t):
    """Its row leaves the table; the unread rest stands in the losses. Without an agent and with one."""
    kafka, topic, w, agent = shipped(t)
    agent.stop()
    os.unlink(w.path)
    assert [row["path"] for row in agent.json("positions", "ls")] == [w.path]
    assert "is forgotten; 0 bytes" in said(agent, "positions", "forget", w.path)[0]
    assert agent.json("positions", "ls") == [] and agent.json("losses") == []
    said(agent, "positions", "forget", w.path, expect=65)
    other = t.file("other.log", b"one\ntwo\n")
    agent.start()
    agent.until_acked(5002)
    os.rename(other, t.path("elsewhere"))
    agent.stop()
    agent.start()
    assert "is forgotten" in said(agent, "positions", "forget", other)[0]
    assert agent.json("positions", "ls") == []
    agent.stop()
    assert agent.json("positions", "ls") == []


# --- moving, copying, restoring


@scenario(core=True)
def a_moved_state_directory_goes_on_where_it_was(t):
    """Stopped in an outage, moved to another path, started there: every line arrives once, the move is said."""
    kafka, topic, w, agent = spooled(t)
    agent.stop()
    os.rename(agent.state_dir, t.path("elsewhere"))
    agent.settings["state_dir"] = t.path("elsewhere")
    agent.write_config()
    w.write(1000)
    agent.start()
    assert agent.json("positions", "ls"), "it did not know its files"
    delivered(t, kafka, topic, agent)
    t.expect_all(kafka, topic)


@scenario()
def an_older_copy_sends_what_came_after_it_again_and_loses_nothing(t):
    """A copy made while stopped is restored after more was shipped: exactly the lines since the copy come twice."""
    kafka, topic, w, agent = shipped(t)
    agent.stop()
    shutil.copytree(agent.state_dir, t.path("backup"))
    agent.start()
    w.write(3000)
    agent.until_acked(8000)
    agent.stop()
    os.rename(agent.state_dir, t.path("newer"))         # whose inode is taken as long as it is there
    shutil.copytree(t.path("backup"), agent.state_dir)
    w.write(1000)
    agent.start()
    s = agent.until_acked(9000)
    agent_module.check_books(s)
    assert s["records"]["read"] == 9000 and s["records"]["dropped"] == 0, s["records"]
    assert "moved, copied or restored" in agent.log_text()
    agent.stop()
    assert counts(kafka, topic) == {n: 2 if 5000 <= n < 8000 else 1 for n in range(9000)}


@scenario()
def a_state_directory_of_another_machine_is_said_and_goes_on(t):
    """The machine id in it is another one: a warning, and every line once, as files have the same names, inodes and bytes."""
    kafka, topic, w, agent = spooled(t)
    agent.stop()
    db = sqlite3.connect(os.path.join(agent.state_dir, "spool.db"))
    db.execute("UPDATE home SET machine = '0123456789abcdef0123456789abcdef'")
    db.commit()
    db.close()
    w.write(500)
    agent.start()
    assert "last used on another machine" in agent.log_text()
    delivered(t, kafka, topic, agent)
    t.expect_all(kafka, topic)
