"""damage.py - the state database is damaged, gone, full, slow or somebody else's: the smallest possible loss, in words, and no crash loop."""
import glob
import os
import sqlite3
import subprocess
import time

import procs
from scenario import scenario

SLOW = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fault", "slowsync.c")
PAGE = 4096             # SQLite's are as large, or a multiple
PRODUCER = {"buffer.memory": "2MiB", "max.block.ms": 300, "compression.type": "none", "batch.size": "32KiB"}


def database(agent, tail=""):
    return os.path.join(agent.state_dir, "spool.db" + tail)


def with_a_spool(t, lines=30000):
    """1,000 lines in Kafka, then an outage: most of `lines` more are in the spool, their file still there. Stopped."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(1000)
    agent = t.agent(kafka.proxied, topic, producer=PRODUCER, shutdown_timeout="2s").start()
    agent.until_acked(1000)
    kafka.proxy.refuse()
    w.write(lines)
    agent.until(lambda s: s["records"]["spooled"] > lines - 6000, 60, "most lines are in the spool")
    return kafka, topic, w, agent


def finish(t, kafka, agent):
    """With the broker back, until nothing is left to do; the last status."""
    kafka.proxy.forward()
    if not agent.running():
        agent.start()
    s = agent.until(lambda s: not s["records"]["in_memory"] and not s["records"]["spooled"]
                    and s["records"]["acked"] + s["records"]["dropped"] >= t.ledger.total(), 90, "everything has an end")
    agent.stop()
    return s


def overwrite(path, at, data):
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(data)


def assert_said(agent, words):
    assert words in agent.log_text(), f"the log does not say \"{words}\": {agent.tail()}"


def assert_kept_aside(agent, count=1):
    kept = [p for p in glob.glob(database(agent, ".damaged-*")) if not p.endswith(("-wal", "-page1"))]
    assert len(kept) == count, f"set aside: {kept}"


def assert_starts_quietly(agent):
    """What was said once is not said again: no loop of salvages."""
    said = agent.log_text().count("could not be used")
    agent.start()
    agent.stop()
    assert agent.log_text().count("could not be used") == said, agent.tail()


@scenario()
def flipped_bytes_in_a_spooled_row_cost_that_row_only(t):
    """The file is deleted, bytes of one row are changed while the agent is stopped: exactly that row's lines are missing, counted and told."""
    kafka, topic, w, agent = with_a_spool(t)
    old = w.rotate()
    agent.stop()
    os.unlink(old)
    with open(database(agent), "rb") as f:
        data = f.read()
    head = f"{t.run_id} app ".encode()
    at = data.index(head, len(data) // 2)
    while at % PAGE > PAGE - 40:                # what follows is another page, and its first bytes are SQLite's
        at = data.index(head, at + 1)
    overwrite(database(agent), at, b"#" * 40)
    s = finish(t, kafka, agent)
    lost = s["records"]["dropped"]
    assert 0 < lost < 1000 and s["losses"]["records"] == lost, s["losses"]
    assert s["spool"]["corrupt_rows"] == 1 and s["uncertain"]["records"] == 0, s["spool"]
    v = t.verdict(kafka, topic)
    assert (v.missing, v.doubled, v.reordered) == (lost, 0, 0), str(v)


@scenario()
def a_wal_that_was_deleted_after_a_kill_loses_nothing(t):
    """kill -9, the WAL deleted: the agent starts, says so, and sends again what it no longer knows to be sent."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(5000)
    agent = t.agent(kafka.address, topic).start()
    agent.until_acked(5000)
    agent.kill()
    os.unlink(database(agent, "-wal"))
    w.write(1000)
    agent.start()
    assert_said(agent, "spool.db-wal is gone")
    agent.until(lambda s: (agent.file(w.path, s) or {"safe": 0})["safe"] == os.path.getsize(w.path), 60, "all lines are acked")
    v = t.verdict(kafka, topic)
    assert v.missing == 0 and v.reordered == 0 and v.doubled <= 5000, str(v)
    agent.stop()
    assert_starts_quietly(agent)


def begins_anew(t, damage):
    """Lines are in Kafka, an orderly stop, damage(path): all is read again from its file; nothing is missing."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(3000)
    inputs = [{"paths": [w.path], "topic": topic, "read_from": "end"}]
    agent = t.agent(kafka.address, topic, paths=[w.path])
    agent.once()
    damage(database(agent))
    w.write(500)
    agent.settings["inputs"] = inputs       # must not skip what only a healthy state database could tell to be sent
    agent.write_config()
    agent.start()
    s = agent.until_acked(3500, 60)
    assert_kept_aside(agent)
    assert_said(agent, "may be in Kafka twice")
    assert s["losses"]["events"] >= 1 and s["losses"]["records"] == 0, s["losses"]
    agent.stop()
    v = t.verdict(kafka, topic)
    assert v.missing == 0 and v.doubled == 3000, str(v)
    assert_starts_quietly(agent)


@scenario(core=True)
def a_start_that_is_killed_behind_a_salvage_changes_nothing_of_what_follows(t):
    """The state database is garbage, and the start that sets it aside is killed before it knows a file: the next one still
    reads what it does not know from its beginning, whatever `read_from` says."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(1000)
    inputs = [{"paths": [w.path], "topic": topic, "read_from": "end"}]
    agent = t.agent(kafka.address, topic, paths=[w.path])
    agent.once()
    fill_with_garbage(database(agent))
    w.write(500)
    agent.settings["inputs"] = inputs
    agent.write_config()
    agent.env["SPILLWAY_KILL"] = "restore.after"
    agent.start(wait=False)
    assert agent.wait(30) == -9, agent.exit_code
    del agent.env["SPILLWAY_KILL"]
    assert_kept_aside(agent)
    agent.start()
    agent.until_acked(1500, 60)
    agent.stop()
    v = t.verdict(kafka, topic)
    assert v.missing == 0 and v.doubled == 1000, str(v)


@scenario(core=True)
def damage_met_while_running_ends_the_agent_once_and_the_next_start_saves(t):
    """Garbage in database and WAL under a running agent that has to read its rows back: it says so once and ends with 74; the
    next start salvages, nothing is missing, and the one after it has nothing to say."""
    kafka, topic, w, agent = with_a_spool(t)
    for tail in ("", "-wal"):
        fill_with_garbage(database(agent, tail))
    kafka.proxy.forward()
    w.write(10)
    assert agent.wait(60) == 74, f"{agent.exit_code}: {agent.tail()}"
    said = agent.log_text().count("the state database is damaged, nothing can be recorded any more")
    assert said == 1, f"said {said} times"
    agent.start()
    agent.until_acked(31010, 90)
    assert_kept_aside(agent)
    agent.stop()
    v = t.verdict(kafka, topic)
    assert v.missing == 0, str(v)
    assert_starts_quietly(agent)


def fill_with_garbage(path):
    size = os.path.getsize(path)
    overwrite(path, 0, os.urandom(size))


@scenario(core=True)
def a_state_database_of_garbage_is_set_aside_and_files_are_read_again(t):
    """Random bytes from the first to the last: nothing is missing, what was sent before comes twice, and that is said."""
    begins_anew(t, fill_with_garbage)


@scenario()
def an_empty_state_database_is_set_aside_and_files_are_read_again(t):
    """No bytes at all: nothing is missing, what was sent before comes twice, and that is said."""
    begins_anew(t, lambda path: os.truncate(path, 0))


@scenario()
def another_applications_database_is_set_aside(t):
    """Somebody's own spool.db lies there: it is kept under another name, and the agent begins anew."""
    def replace(path):
        os.unlink(path)
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE things (x)")
    begins_anew(t, replace)


@scenario(core=True)
def a_state_database_with_a_broken_header_loses_nothing(t):
    """The first page is garbage: positions, ledger and spooled rows are all saved, every line arrives once."""
    kafka, topic, w, agent = with_a_spool(t)
    agent.stop()
    overwrite(database(agent), 0, os.urandom(16384))
    s = finish(t, kafka, agent)
    assert_kept_aside(agent)
    assert s["records"]["dropped"] == 0 and s["losses"]["records"] == 0, s["records"]
    t.expect_all(kafka, topic)
    assert_starts_quietly(agent)


@scenario()
def half_a_state_database_gives_what_is_in_that_half(t):
    """Cut in the middle, the file deleted: rows in the first half arrive, exactly those in the other are missing, counted and told."""
    kafka, topic, w, agent = with_a_spool(t)
    old = w.rotate()
    agent.stop()
    os.unlink(old)
    os.truncate(database(agent), os.path.getsize(database(agent)) // 2)
    s = finish(t, kafka, agent)
    assert_kept_aside(agent)
    assert_said(agent, "of the rows are damaged")
    lost = s["records"]["dropped"]
    assert 0 < lost < 30000 and s["losses"]["records"] == lost, (s["records"], s["losses"])
    v = t.verdict(kafka, topic)
    assert v.missing == lost and v.doubled == 0, f"{v}, dropped {lost}"
    assert_starts_quietly(agent)


@scenario()
def a_newer_state_database_is_refused_and_left_alone(t):
    """user_version of a later spillway: words, an exit code, not a byte changed; with the old number it goes on."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    t.writer("app").write(1000)
    agent = t.agent(kafka.address, topic)
    agent.once()
    with sqlite3.connect(database(agent)) as db:
        version, = db.execute("PRAGMA user_version").fetchone()
        db.execute(f"PRAGMA user_version = {version + 90}")
    db.close()
    with open(database(agent), "rb") as f:
        before = f.read()
    for _ in range(2):
        agent.start(wait=False)
        code = agent.wait()
        assert code > 0, code
    assert_said(agent, "written by a newer spillway")
    with open(database(agent), "rb") as f:
        assert f.read() == before, "the newer database was changed"
    with sqlite3.connect(database(agent)) as db:
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
    agent.once()
    t.expect_all(kafka, topic)


@scenario()
def a_second_agent_on_the_same_directory_is_told_so(t):
    """It ends with words and does not disturb the first."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(1000)
    agent = t.agent(kafka.address, topic).start()
    second = t.agent(kafka.address, topic, name="second", state_dir=agent.state_dir, control=t.path("second.sock"))
    second.start(wait=False)
    assert second.wait() > 0
    assert_said(second, "another spillway uses the state directory")
    w.write(1000)
    agent.until_acked(2000)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario(needs_root=True)
def a_disk_that_is_full_in_the_middle_of_an_outage_loses_nothing(t):
    """Somebody takes the last block while lines are spilled: files wait; with the broker back and room made all arrives once."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    disk = t.tmpfs("disk", "40m")
    w = t.writer("app")
    w.write(1000)
    agent = t.agent(kafka.proxied, topic, producer=PRODUCER, state_dir=os.path.join(disk, "state"),
                    control=t.path("c.sock"), shutdown_timeout="2s", spool={"min_free": 0}).start()
    agent.until_acked(1000)
    kafka.proxy.refuse()
    w.write(20000)
    agent.until(lambda s: s["records"]["spooled"] > 0, 60, "the first lines are in the spool")
    with open(os.path.join(disk, "ballast"), "wb", buffering=0) as f:
        try:
            while True:
                f.write(b"\0" * 4096)
        except OSError:
            pass
    w.write(40000)
    agent.until(lambda s: any("full" in r or "spool" in r for r in s["reasons"]), 60, "the full disk is said")
    kafka.proxy.forward()
    agent.until(lambda s: s["records"]["acked"] > 20000, 90, "it drains on a full disk")
    os.unlink(os.path.join(disk, "ballast"))
    agent.until_acked(61000)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario(needs_root=True)
def a_read_only_file_system_is_explained_and_harms_nothing(t):
    """The state directory's file system turned read-only between two runs: words and an exit code; writable again it goes on."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    disk = t.tmpfs("disk", "40m")
    w = t.writer("app")
    w.write(1000)
    agent = t.agent(kafka.address, topic, state_dir=os.path.join(disk, "state"), control=t.path("c.sock"))
    agent.once()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    w.write(1000)
    agent.start("--once", wait=False)
    assert agent.wait() > 0
    assert_said(agent, "Read-only file system")
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    agent.once()
    t.expect_all(kafka, topic)


@scenario()
def an_fsync_of_three_seconds_holds_nobody_up(t):
    """While each sync of the spool takes 3 s, `status` answers at once and lines go on being sent; in an outage they are spooled, slowly."""
    library, slow = t.path("slowsync.so"), t.path("slow")
    subprocess.run(["gcc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-O1", "-o", library, SLOW, "-ldl"], check=True)
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, producer=PRODUCER, shutdown_timeout="5s")
    agent.env = {"LD_PRELOAD": library, "SLOW_FILE": slow}
    with open(slow, "w") as f:
        f.write("0")
    agent.start()
    w.write(1000)
    agent.until_acked(1000)
    with open(slow, "w") as f:
        f.write("3000")
    w.write(2000)
    agent.until_acked(3000, 30)
    kafka.proxy.refuse()
    w.write(15000)
    until, slowest = time.monotonic() + 60, 0.0
    while True:
        begin = time.monotonic()
        s = agent.status()
        slowest = max(slowest, time.monotonic() - begin)
        if s["records"]["spooled"] > 3000:
            break
        assert time.monotonic() < until, f"nothing is spooled: {s['records']}"
        time.sleep(0.05)
    assert slowest < 2 * procs.SLOWNESS, f"`status` took {slowest:.1f} s"
    with open(slow, "w") as f:
        f.write("0")
    kafka.proxy.forward()
    agent.until_acked(18000)
    agent.stop()
    t.expect_all(kafka, topic)
